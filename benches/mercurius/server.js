// The same query on mercurius, set up as its documentation recommends for speed: JIT from the first
// request on, a dataloader for each request, prepared statements over a pool.
//
// PEER holds the statement, its parameters (null stands for the tenants), and the addresses.
import { readFileSync } from 'node:fs'
import DataLoader from 'dataloader'
import Fastify from 'fastify'
import mercurius from 'mercurius'
import pg from 'pg'

const { sql, parameters, database, port } = JSON.parse(readFileSync(process.env.PEER, 'utf8'))
const pool = new pg.Pool({ connectionString: database, max: 16 })

async function tenants (ids) {
  const { rows } = await pool.query({
    name: 'tenants',
    text: 'SELECT id, name FROM tenants WHERE id = ANY($1)',
    values: [ids]
  })
  const found = new Map(rows.map(row => [row.id, row]))
  return ids.map(id => found.get(id) ?? null)
}

async function stats (ids) {
  const { rows } = await pool.query({
    name: 'stats',
    text: sql,
    values: parameters.map(parameter => parameter ?? ids)
  })
  const found = new Map(rows.map(row => [row.id, row]))
  return ids.map(id => found.get(id) ?? null)
}

const schema = `
  type Query { tenant(id: ID!): Tenant }
  type Tenant { id: ID! name: String! stats: TenantStats }
  type TenantStats {
    totalAgents: Int! totalCallsToday: Int! totalCallsMonth: Int! avgCallDuration: Float
    avgSentimentScore: Float activeSessions: Int! activeCalls: Int! monthlyUsageCents: Float! lastCallAt: String
  }`

const divided = (sum, count) => count > 0 ? sum / count : null

const resolvers = {
  Query: { tenant: (_, { id }, { loaders }) => loaders.tenants.load(id) },
  Tenant: {
    async stats (tenant, _, { loaders }) {
      const row = await loaders.stats.load(tenant.id)
      return {
        totalAgents: Number(row.agents),
        totalCallsToday: Number(row.calls_today),
        totalCallsMonth: Number(row.calls),
        avgCallDuration: divided(Number(row.duration_sum), Number(row.duration_count)),
        avgSentimentScore: divided(Number(row.score_sum), Number(row.score_count) * 1e6),
        activeSessions: Number(row.active_sessions),
        activeCalls: Number(row.active_calls),
        monthlyUsageCents: Number(row.cost_cents),
        lastCallAt: row.last_call_at?.toISOString() ?? null
      }
    }
  }
}

const app = Fastify()
app.register(mercurius, {
  schema,
  resolvers,
  jit: 1,
  context: () => ({ loaders: { tenants: new DataLoader(tenants), stats: new DataLoader(stats) } })
})
await app.listen({ port, host: '127.0.0.1' })
