// A model uses a desktop through the Anthropic SDK. Run `npm start`, set ANTHROPIC_API_KEY, then
//   node docs/guides/agents/with-a-model.ts 'Open the editor from the menu, and type a greeting.'
import { readFileSync } from 'node:fs';
import Anthropic from '@anthropic-ai/sdk';
import { ComputerToolset } from '../../../shared/client/drivers/anthropic.ts';
import { createWarmwind } from '../../../shared/client/warmwind.ts';

const [task = 'Open the editor from the menu, and type a greeting.'] = process.argv.slice(2);
const { edge, tokens } = JSON.parse(readFileSync(process.env.STACK ?? '.warmwind/stack.json', 'utf8'));
const warmwind = createWarmwind({ url: edge, token: tokens.user });
const desktop = await warmwind.start({ width: 1024, height: 640, ttlSeconds: 600 });
try {
  // `confirm` sees each action before it is carried out. This one permits all, on a desktop without a network.
  const toolset = new ComputerToolset(desktop, { confirm: () => true });
  const runner = new Anthropic().beta.messages.toolRunner({
    model: process.env.MODEL ?? 'claude-opus-5',
    max_tokens: 4096,
    max_iterations: 50,
    tools: [toolset],
    messages: [{ role: 'user', content: task }],
  });
  for await (const { content } of runner) {
    for (const block of content) {
      if (block.type === 'text') console.log(block.text);
      if (block.type === 'tool_use') console.log(`${block.name} ${JSON.stringify(block.input)}`);
    }
  }
} finally {
  await desktop.stop();
}
