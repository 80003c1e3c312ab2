// A catalogue of things. The stock service knows how many there are of each.
//
// Nothing here speaks of traces: `--require @opentelemetry/auto-instrumentations-node/register` starts the SDK, which
// reads the OTEL_* variables that Tracewell sets.
const { createServer } = require('node:http');

const THINGS = { 1: 'teapot', 2: 'kettle' };
const STOCK = process.env.STOCK_URL;

async function route(path) {
  if (path === '/healthz' || path === '/readyz') return [200, { status: 'ok' }];
  const thing = path.match(/^\/things\/([^/]+)$/)?.[1];
  if (!THINGS[thing]) return [404, { error: `there is no ${path}; there are ${Object.keys(THINGS).map((id) => `/things/${id}`).join(', ')}` }];
  if (!STOCK) return [200, { name: THINGS[thing] }];
  const answer = await fetch(`${STOCK}/stock/${thing}`, { signal: AbortSignal.timeout(5000) });
  if (!answer.ok) return [502, { error: `the stock service answered ${answer.status}` }];
  return [200, { name: THINGS[thing], ...(await answer.json()) }];
}

const server = createServer(async (request, response) => {
  const path = new URL(request.url, 'http://catalog').pathname;
  const [status, body] = await route(path).catch((error) => [502, { error: `the stock service: ${error.message}` }]);
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
});

server.listen(Number(process.env.PORT ?? 8080), () => console.log('catalog listens on', server.address().port));
process.on('SIGTERM', () => server.close());
