// The schema's design, judged by the rules that graphql-eslint recommends for schemas and those of Relay for pages,
// which clients' caches rely on.

import graphql from "@graphql-eslint/eslint-plugin";

export default [
  {
    files: ["schema.graphql"],
    languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema: "schema.graphql" } } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    plugins: { "@graphql-eslint": graphql },
    rules: {
      ...graphql.configs["flat/schema-recommended"].rules,
      "@graphql-eslint/relay-arguments": "error",
      "@graphql-eslint/relay-connection-types": "error",
      "@graphql-eslint/relay-page-info": "error",
      // The schema is printed by the program, which writes a description of one line between single quotes.
      "@graphql-eslint/description-style": "off",
      // Pages, payloads, figures and records of a moment are values: only tenants and deletions have an identity.
      "@graphql-eslint/strict-id-in-types": "off",
    },
  },
];
