/** `npm run mock`: the pages of the last build on http://127.0.0.1:5000 against made-up data, to look at while working on them. */

import { MockApp } from "./app";

const app = await MockApp.start({ port: 5000, proxyPort: 8765, rate: 200 });
if (!process.argv.includes("--fresh")) app.ready();
console.log(`pages: ${app.url}   log in with asha / correct horse`);
