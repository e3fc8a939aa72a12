/**
 * The model that each GPU host serves. The server speaks OpenAI's API; its image is public and pulled by its
 * tag.
 */
export const modelServer = { image: 'vllm/vllm-openai:v0.10.1.1', model: 'Qwen/Qwen3-8B-AWQ' };
