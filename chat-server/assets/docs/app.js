// Shows the descriptions of the API: openapi.json and asyncapi.json.

const METHODS = ['get', 'post', 'put', 'patch', 'delete', 'head', 'options'];

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.flat().filter((child) => child !== undefined && child !== ''));
  return made;
}

const anchor = (kind, name) => `${kind}-${name.replace(/[^A-Za-z0-9_.-]+/g, '-')}`;

/** What a schema allows, in the words of TypeScript; names lead to where they are shown. */
function typeOf(schema, indent = '') {
  if (schema === true || schema === undefined) return ['unknown'];
  if (schema.$ref) {
    const name = schema.$ref.split('/').pop();
    const link = element('a', { href: `#${anchor('type', name)}` }, name);
    return schema.properties ? [link, ' & ', ...object(schema, indent)] : [link];
  }
  if ('const' in schema) return [JSON.stringify(schema.const)];
  if (schema.enum) return [schema.enum.map((value) => JSON.stringify(value)).join(' | ')];
  const parts = [];
  const add = (between, alternatives) => {
    for (const alternative of alternatives) {
      if (parts.length) parts.push(between);
      parts.push(...typeOf(alternative, indent));
    }
  };
  if (schema.properties) parts.push(...object(schema, indent));
  // Rules of which fields must be there together are told apart by having no type.
  const typed = (all) => (all ?? []).filter((one) => one.$ref || one.type || one.properties || one.allOf);
  add(' & ', typed(schema.allOf));
  const either = typed(schema.oneOf ?? schema.anyOf).filter((one) => !('required' in one && !one.type && !one.$ref));
  if (either.length && parts.length) parts.push(' & (');
  either.forEach((one, i) => parts.push(i ? ' | ' : '', ...typeOf(one, indent)));
  if (either.length && parts[0] !== '' && schema.properties) parts.push(')');
  if (parts.length) return parts;
  const types = [schema.type ?? 'unknown'].flat();
  return types.flatMap((type, i) => [
    i ? ' | ' : '',
    ...(type === 'array' ? ['Array<', ...typeOf(schema.items, indent), '>'] : type === 'object' ? ['{}'] : [type, limits(schema, type)]),
  ]);
}

function limits(schema, type) {
  if (type === 'null') return '';
  const { minLength, maxLength, minimum, pattern, 'x-most': most } = schema;
  const said = [
    minLength === undefined ? '' : `at least ${minLength}`,
    maxLength === undefined ? '' : `at most ${maxLength} characters`,
    minimum === undefined ? '' : `from ${minimum}`,
    schema.default === undefined ? '' : `usually ${schema.default}`,
    most === undefined ? '' : `at most ${most} are given`,
    pattern ? `like ${pattern}` : '',
  ].filter(Boolean);
  return said.length ? ` (${said.join(', ')})` : '';
}

function object(schema, indent) {
  const inner = `${indent}  `;
  const lines = Object.entries(schema.properties).flatMap(([name, field]) => [
    `\n${inner}`,
    name,
    (schema.required ?? []).includes(name) ? ': ' : '?: ',
    ...typeOf(field, inner),
    field.description ? element('span', { class: 'dim' }, `  // ${field.description}`) : '',
  ]);
  return lines.length ? ['{', ...lines, `\n${indent}}`] : ['{}'];
}

const shown = (title, schema) => (schema === undefined ? [] : [element('h3', {}, title), element('pre', {}, typeOf(schema))]);

function entry(id, badge, name, about, inside) {
  return element(
    'details',
    { id, 'data-testid': 'entry', 'data-words': `${badge} ${name} ${about}`.toLowerCase() },
    element('summary', {}, element('span', { class: 'badge' }, badge), element('span', { class: 'path' }, name), element('span', { class: 'about' }, about ?? '')),
    element('div', { class: 'inside' }, inside),
  );
}

function operation(method, path, of) {
  const rows = (of.parameters ?? []).map((one) =>
    element('tr', {}, element('td', {}, element('code', {}, one.name), one.required ? '' : ' ?'), element('td', { class: 'dim' }, one.in),
      element('td', {}, typeOf(one.schema)), element('td', {}, one.description ?? '')));
  const bodies = Object.entries(of.requestBody?.content ?? {}).flatMap(([type, { schema }]) => shown(`Body, ${type}`, schema));
  const answers = Object.entries(of.responses).flatMap(([status, answer]) => {
    const contents = Object.values(answer.content ?? {});
    return contents.length ? shown(`Answer ${status}`, contents[0].schema) : [element('h3', {}, `Answer ${status}: ${answer.description}`)];
  });
  const isOpen = !of.security?.length;
  const inside = [
    element('p', { class: 'dim' }, isOpen ? 'For everybody.' : 'For who is logged in.', of.operationId.includes('/') ? '' : ` Named ${of.operationId}.`),
    rows.length ? element('table', {}, rows) : '',
    ...bodies,
    ...answers,
  ];
  return entry(anchor('route', `${method}${path}`), method.toUpperCase(), path, of.summary, inside);
}

function message(key, of, id) {
  const isCommand = of['x-acknowledgement'] !== undefined;
  const optional = of['x-argument-optional'] ? ', which may be left out' : '';
  const inside = [...shown(`Argument${optional}`, of.payload), ...shown('Acknowledgement', of['x-acknowledgement'])];
  return entry(anchor('event', `${id}-${key}`), isCommand ? 'you send' : 'you hear', of.name, of.summary, inside);
}

/** The parts of the page: a title, and its entries. */
function sections(openapi, asyncapi) {
  const routes = new Map(openapi.tags.map(({ name }) => [name, []]));
  for (const [path, methods] of Object.entries(openapi.paths)) {
    for (const method of METHODS.filter((name) => methods[name])) {
      for (const tag of methods[method].tags) routes.get(tag)?.push(operation(method, path, methods[method]));
    }
  }
  const events = Object.entries(asyncapi.channels).map(([id, channel]) => [
    `${id}: events`,
    Object.entries(channel.messages).map(([key, of]) => message(key, of, id)),
  ]);
  const schemas = { ...asyncapi.components.schemas, ...openapi.components.schemas };
  const types = Object.entries(schemas).map(([name, schema]) =>
    entry(anchor('type', name), 'type', name, schema.description, [element('pre', {}, typeOf(schema))]));
  return [...[...routes].map(([name, all]) => [`${name}: routes`, all]), ...events, ['Types', types]];
}

function open() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  target.open = true;
  target.scrollIntoView();
}

function filter(words) {
  for (const one of document.querySelectorAll('[data-words]')) {
    one.hidden = !words.every((word) => one.dataset.words.includes(word));
  }
}

async function start() {
  const main = document.getElementById('main');
  const contents = document.getElementById('contents');
  const read = async (name) => {
    const response = await fetch(`/docs/${name}`);
    if (!response.ok) throw new Error(`${name}: ${response.status}`);
    return response.json();
  };
  try {
    const all = sections(...(await Promise.all([read('openapi.json'), read('asyncapi.json')])));
    main.replaceChildren();
    for (const [title, entries] of all.filter(([, entries]) => entries.length)) {
      main.append(element('h2', { id: anchor('section', title) }, title), ...entries);
      const links = entries.map((one) => element('li', { 'data-words': one.dataset.words },
        element('a', { href: `#${one.id}` }, one.querySelector('.path').textContent)));
      contents.append(element('h2', {}, title), element('ul', {}, links));
    }
    open();
  } catch (error) {
    main.textContent = `The descriptions could not be loaded: ${error.message}`;
  }
  main.setAttribute('aria-busy', 'false');
  addEventListener('hashchange', open);
  document.getElementById('filter').addEventListener('input', (event) => {
    filter(event.target.value.toLowerCase().split(/\s+/).filter(Boolean));
  });
}

start();
