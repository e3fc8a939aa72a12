import style from 'swagger-ui-dist/swagger-ui.css';
import script from 'swagger-ui-dist/swagger-ui-bundle.js';

/** Swagger UI's own files, as text: they are part of the Worker and come from no other origin. */
export { script, style };
