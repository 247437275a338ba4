// Asks the API from inside a replica of it, for the Makefile:
//   node ask.js /counts
//   node ask.js /jobs '{"seconds": 5}'
const [path, body] = process.argv.slice(2);
const response = await fetch(`http://127.0.0.1:3000${path}`, body ? { method: 'POST', body } : {});
process.stdout.write(await response.text());
