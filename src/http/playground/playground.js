// Starts GraphiQL on the gateway's own endpoint, with the example operations in tabs.
//
// `/graphiql#token=JWT&tenant=ID` opens it ready to run; a fragment never reaches a server. The token stays
// in this browser tab: it survives a reload, and is gone when the tab closes.
(() => {
  'use strict';

  const { createElement, useState } = React;
  const NO_TOKEN = 'paste a token here';
  const NO_TENANT = "paste a tenant's id here";
  const HEADERS = 'tenant-gateway:headers';
  const PANEL = 'tenant-gateway:panel';
  const TABS = 'graphiql:tabState';
  const DOCS = 'Documentation Explorer';

  // What is being worked on belongs to this browser tab, so that two can hold two tenants' tokens.
  const QUERY = 'graphiql:query';
  const VARIABLES = 'graphiql:variables';
  const PER_TAB = new Set([TABS, QUERY, VARIABLES, 'graphiql:headers', 'graphiql:operationName']);
  const HISTORY = new Set(['graphiql:queries', 'graphiql:favorites']);

  // A narrower documentation panel than GraphiQL's own leaves room for all tabs.
  const FIRST_LAYOUT = { 'graphiql:docExplorerFlex': '0.25' };
  const DOCS_FIT = '(min-width: 1200px)';

  const authorization = token => JSON.stringify({ Authorization: `Bearer ${token}` }, null, 2);
  const areaOf = key => (PER_TAB.has(key) ? sessionStorage : localStorage);

  function withHeaders(list, headers) {
    return JSON.stringify(JSON.parse(list), (key, value) =>
      value !== null && typeof value === 'object' && 'query' in value ? { ...value, headers } : value,
    );
  }

  // GraphiQL's history keeps each request's headers for good, whatever `shouldPersistHeaders` says. Here it
  // is written without them and read with those of the moment, so that no token outlives its browser tab.
  const storage = {
    getItem(key) {
      const value = areaOf(key).getItem(key) ?? FIRST_LAYOUT[key] ?? null;
      const headers = sessionStorage.getItem(HEADERS) ?? undefined;
      return value && HISTORY.has(key) ? withHeaders(value, headers) : value;
    },
    setItem(key, value) {
      areaOf(key).setItem(key, HISTORY.has(key) ? withHeaders(value, undefined) : value);
    },
    removeItem(key) {
      areaOf(key).removeItem(key);
    },
    clear() {
      for (const area of [localStorage, sessionStorage]) {
        for (const key of Object.keys(area)) {
          if (key.startsWith('graphiql:') || key.startsWith('tenant-gateway:')) {
            area.removeItem(key);
          }
        }
      }
    },
    get length() {
      return localStorage.length + sessionStorage.length;
    },
  };

  // Takes token and tenant out of the address, so that neither stays in the history or in a bookmark.
  function takeFragment() {
    const given = new URLSearchParams(location.hash.slice(1));
    const token = given.get('token');
    const tenant = given.get('tenant');
    if (token || tenant) {
      history.replaceState(null, '', location.pathname + location.search);
      PER_TAB.forEach(key => sessionStorage.removeItem(key));
    }
    if (token) {
      sessionStorage.setItem(HEADERS, authorization(token));
    }
    return tenant ?? NO_TENANT;
  }

  // Without a token of its own yet, a request goes without the header, and the answer says what is missing.
  async function send(url, options) {
    const headers = new Headers(options.headers);
    if (headers.get('authorization')?.includes(NO_TOKEN)) {
      headers.delete('authorization');
    }
    const response = await fetch(url, { ...options, headers, credentials: 'omit' });
    const text = await response.text();
    return { json: async () => readAnswer(response, text) };
  }

  function readAnswer(response, text) {
    try {
      return JSON.parse(text);
    } catch {
      const status = `${response.status} ${response.statusText}`.trim();
      const error = new Error(`The gateway answered ${status}: ${text.slice(0, 500)}`);
      error.stack = undefined; // GraphiQL would show it beside the message.
      throw error;
    }
  }

  function exampleTabs(tenant) {
    const escaped = JSON.stringify(tenant).slice(1, -1);
    return tenantGatewayExamples.map(({ query, variables }) => ({
      query,
      variables: variables.replaceAll('TENANT_ID', () => escaped),
    }));
  }

  // GraphiQL shows a first tab without its variables, and after a reload takes it for yet another tab,
  // unless it finds what the editors hold where it keeps that itself.
  function openFirst({ query, variables }) {
    sessionStorage.setItem(QUERY, query);
    sessionStorage.setItem(VARIABLES, variables);
  }

  function firstPanel() {
    const isOpen = localStorage.getItem(PANEL) ?? (matchMedia(DOCS_FIT).matches ? 'open' : 'closed');
    return isOpen === 'open' ? DOCS : undefined;
  }

  function Playground({ tabs }) {
    const [headers, setHeaders] = useState(() => sessionStorage.getItem(HEADERS) ?? authorization(NO_TOKEN));
    const [panel] = useState(firstPanel);

    function rememberHeaders(text) {
      if (!text.includes(NO_TOKEN)) {
        sessionStorage.setItem(HEADERS, text);
        setHeaders(text);
      }
    }

    const properties = {
      defaultTabs: tabs,
      defaultQuery: '',
      defaultHeaders: headers,
      onEditHeaders: rememberHeaders,
      shouldPersistHeaders: false,
      defaultEditorToolsVisibility: headers.includes(NO_TOKEN) ? 'headers' : 'variables',
      visiblePlugin: panel,
      onTogglePluginVisibility: shown => localStorage.setItem(PANEL, shown ? 'open' : 'closed'),
      storage,
      fetcher,
    };
    const wordmark = createElement('span', { className: 'wordmark' }, 'tenant-gateway');
    return createElement(GraphiQL, properties, createElement(GraphiQL.Logo, null, wordmark));
  }

  const fetcher = GraphiQL.createFetcher({
    url: 'graphql',
    fetch: send,
    headers: { accept: 'application/json' },
    enableIncrementalDelivery: false,
  });

  function start(root) {
    const tabs = exampleTabs(takeFragment());
    if (sessionStorage.getItem(TABS) === null) {
      openFirst(tabs[0]);
    }
    ReactDOM.createRoot(root).render(createElement(Playground, { tabs }));
    // Another link pasted into this page's address bar changes only the fragment.
    addEventListener('hashchange', () => location.reload());
  }

  const root = document.getElementById('playground');
  try {
    start(root);
  } catch (error) {
    root.firstElementChild.textContent = `The playground could not start: ${error.message}`;
  }
})();
