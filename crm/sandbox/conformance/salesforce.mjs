// Drives a fresh Salesforce sandbox with jsforce, the usual Salesforce client
// for Node. Prints "N passed, N failed".
//
//   SALESFORCE_URL  the sandbox's URL (required)

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import jsforce from 'jsforce'

const base = process.env.SALESFORCE_URL
if (!base) {
  console.error('SALESFORCE_URL is not set; give the URL of a running Salesforce sandbox')
  process.exit(2)
}
const client = { clientId: 'sandbox-client', clientSecret: 'sandbox-secret', redirectUri: 'http://127.0.0.1:1/callback' }
const connect = (more) => new jsforce.Connection({ loginUrl: base, version: '60.0', ...more })

let passed = 0
let failed = 0
async function test(name, run) {
  try {
    await run()
    passed++
  } catch (err) {
    failed++
    console.error(`FAIL ${name}\n${err.stack ?? err}`)
  }
}

// refused asserts that a promise rejects with an errorCode, and returns the error.
async function refused(promise, code) {
  try {
    await promise
  } catch (err) {
    assert.equal(err.errorCode ?? err.name, code, err.stack)
    return err
  }
  assert.fail(`nothing was refused; want ${code}`)
}

async function control(method, path, body) {
  const answer = await fetch(`${base}/_sandbox/${path}`, { method, body: body && JSON.stringify(body) })
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`)
}

const conn = connect()

await test('client credentials', async () => {
  const user = await conn.authorize({ grant_type: 'client_credentials', client_id: client.clientId, client_secret: client.clientSecret })
  assert.match(user.id, /^005\w{15}$/)
  assert.equal(conn.instanceUrl, base)
  await refused(connect().authorize({ grant_type: 'client_credentials', client_id: client.clientId, client_secret: 'wrong' }), 'invalid_client')
})

await test('identity and versions', async () => {
  const me = await conn.identity()
  assert.equal(me.username, 'integration@example.com')
  assert.ok((await conn.request('/services/data')).some((v) => v.version === '60.0'))
})

await test('authorization code, PKCE and refresh', async () => {
  const oauth2 = new jsforce.OAuth2({ loginUrl: base, ...client })
  const verifier = 'a-verifier-that-is-long-enough-for-anybody-to-accept'
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  const page = oauth2.getAuthorizationUrl({ scope: 'api refresh_token', state: 's1', code_challenge: challenge, code_challenge_method: 'S256' })
  const back = new URL((await fetch(page, { redirect: 'manual' })).headers.get('location'))
  assert.equal(back.searchParams.get('state'), 's1')
  const other = new jsforce.Connection({ oauth2, version: '60.0' })
  await other.authorize(back.searchParams.get('code'), { code_verifier: verifier })
  assert.ok(other.refreshToken)
  const first = other.accessToken
  await control('POST', 'end-sessions')
  await other.query('SELECT Id FROM User')  // refreshes on INVALID_SESSION_ID
  assert.notEqual(other.accessToken, first)
  await other.logout(true)
  await refused(oauth2.refreshToken('nonsense'), 'invalid_grant')
  await conn.authorize({ grant_type: 'client_credentials', client_id: client.clientId, client_secret: client.clientSecret })
})

await test('an invalid session', async () => {
  const stranger = connect({ instanceUrl: base, accessToken: 'nobody' })
  await refused(stranger.query('SELECT Id FROM User'), 'INVALID_SESSION_ID')
})

await test('describe', async () => {
  const global = await conn.describeGlobal()
  assert.ok(global.sobjects.some((o) => o.name === 'Contact' && o.keyPrefix === '003'))
  const task = await conn.sobject('Task').describe()
  const fields = Object.fromEntries(task.fields.map((f) => [f.name, f]))
  assert.equal(fields.TaskSubtype.updateable, false)
  assert.equal(fields.CallType.restrictedPicklist, true)
  assert.deepEqual(fields.WhoId.referenceTo, ['Contact', 'Lead'])
  assert.equal(fields.Description.length, 32000)
  await refused(conn.sobject('Kontakt').describe(), 'NOT_FOUND')
})

const contacts = conn.sobject('Contact')
let jane

await test('create, retrieve, update, delete', async () => {
  const made = await contacts.create({ LastName: "O'Brien", FirstName: 'Jane', Email: 'jane@example.com', Phone: '(555) 123-4567' })
  assert.equal(made.success, true)
  jane = made.id
  assert.match(jane, /^003\w{15}$/)
  assert.equal((await contacts.retrieve(jane)).Name, "Jane O'Brien")
  assert.equal((await contacts.update({ Id: jane, DoNotCall: true })).success, true)
  assert.equal((await contacts.retrieve(jane)).DoNotCall, true)
  const { id } = await contacts.create({ LastName: 'Gone' })
  assert.equal((await contacts.destroy(id)).success, true)
  await refused(contacts.retrieve(id), 'ENTITY_IS_DELETED')
})

await test('error answers', async () => {
  const err = await refused(contacts.create({ FirstName: 'Nobody' }), 'REQUIRED_FIELD_MISSING')
  assert.match(err.message, /LastName/)
  await refused(contacts.create({ LastName: 'A', Nope__c: 1 }), 'INVALID_FIELD')
  await refused(contacts.create({ LastName: 'x'.repeat(81) }), 'STRING_TOO_LONG')
  await refused(contacts.create({ LastName: 'A', Email: 'nonsense' }), 'INVALID_EMAIL_ADDRESS')
  await refused(conn.sobject('Task').create({ CallType: 'Sideways' }), 'INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST')
  await refused(conn.sobject('Task').create({ WhoId: 'jane' }), 'MALFORMED_ID')
  await refused(conn.sobject('Event').create({ Subject: 'when?' }), 'REQUIRED_FIELD_MISSING')
  await refused(contacts.retrieve('003Ws0000000zzzAAA'), 'NOT_FOUND')
  await refused(conn.query('SELECT Nope FROM Contact'), 'INVALID_FIELD')
  await refused(conn.query('SELECT Id FROM'), 'MALFORMED_QUERY')
  await refused(conn.query('SELECT Id FROM Kontakt'), 'INVALID_TYPE')
  await refused(conn.search('FIND {+1555} IN PHONE FIELDS'), 'MALFORMED_SEARCH')
})

await test('query', async () => {
  const found = await conn.query("SELECT Id, Name, Owner.Name, Account.Name FROM Contact WHERE LastName = 'O\\'Brien' AND Email != null")
  assert.equal(found.totalSize, 1)
  assert.equal(found.records[0].attributes.type, 'Contact')
  assert.equal(found.records[0].Owner.Name, 'Integration')
  assert.equal(found.records[0].Account, null)
  assert.equal(await contacts.count({ LastName: "O'Brien" }), 1)
  const built = await contacts.find({ LastName: { $like: "o'b%" }, DoNotCall: true }, 'Id, Email').sort({ LastName: -1 }).limit(5)
  assert.equal(built[0].Id, jane)
})

await test('collections', async () => {
  const many = await contacts.create(Array.from({ length: 201 }, (_, i) => ({ LastName: `Many ${i}` })), { allowRecursive: true })
  assert.equal(many.length, 201)
  assert.ok(many.every((r) => r.success))
  const ids = many.map((r) => r.id)
  const read = await contacts.retrieve(ids.slice(0, 3), { fields: ['LastName'] })
  assert.deepEqual(read.map((r) => r.LastName), ['Many 0', 'Many 1', 'Many 2'])
  const updated = await contacts.update([{ Id: ids[0], Phone: '1' }, { Id: ids[1], LastName: '' }])
  assert.deepEqual(updated.map((r) => r.success), [true, false])
  assert.equal(updated[1].errors[0].errorCode ?? updated[1].errors[0].statusCode, 'REQUIRED_FIELD_MISSING')
  const none = await contacts.create([{ LastName: 'Never' }, { FirstName: 'Bad' }], { allOrNone: true }).catch((err) => err)
  assert.match(JSON.stringify(none), /ALL_OR_NONE_OPERATION_ROLLED_BACK|REQUIRED_FIELD_MISSING/)
  assert.equal(await contacts.count({ LastName: 'Never' }), 0)
  const gone = await contacts.destroy(ids.slice(0, 2))
  assert.deepEqual(gone.map((r) => r.success), [true, true])
})

await test('query more', async () => {
  const first = await conn.query('SELECT Id FROM Contact', { autoFetch: false, headers: { 'Sforce-Query-Options': 'batchSize=200' } })
  assert.equal(first.done, first.totalSize <= 200)
  const all = await conn.query('SELECT Id FROM Contact', { autoFetch: true, maxFetch: 1000, headers: { 'Sforce-Query-Options': 'batchSize=200' } })
  assert.equal(all.records.length, all.totalSize)
})

await test('search', async () => {
  const sosl = 'FIND {5551234567} IN PHONE FIELDS RETURNING Contact(Id, Name WHERE DoNotCall = true), Lead(Id)'
  const { id } = await contacts.create({ LastName: 'Fresh', MobilePhone: '+44 20 7946 0958' })
  const late = await conn.search('FIND {442079460958} IN PHONE FIELDS RETURNING Contact(Id)')
  assert.deepEqual(late.searchRecords, [])
  await control('POST', 'advance', { by: '10s' })
  assert.equal((await conn.search(sosl)).searchRecords[0].Id, jane)
  assert.equal((await conn.search('FIND {999 OR 442079460958} IN PHONE FIELDS RETURNING Contact(Id)')).searchRecords[0].Id, id)
})

await test('a custom field, field-level security, upsert by external id', async () => {
  const made = await conn.tooling.sobject('CustomField').create({
    FullName: 'Activity.callsync_key__c',
    Metadata: { label: 'callsync key', type: 'Text', length: 255, unique: true, externalId: true },
  })
  assert.match(made.id, /^00N/)
  const tasks = conn.sobject('Task')
  await refused(tasks.create({ callsync_key__c: 'k' }), 'INVALID_FIELD')
  const set = await conn.sobject('PermissionSet').create({ Name: 'callsync', Label: 'callsync' })
  const me = (await conn.identity()).user_id
  await conn.sobject('PermissionSetAssignment').create({ PermissionSetId: set.id, AssigneeId: me })
  for (const type of ['Task', 'Event']) {
    await conn.sobject('FieldPermissions').create({
      ParentId: set.id, SobjectType: type, Field: `${type}.callsync_key__c`, PermissionsRead: true, PermissionsEdit: true,
    })
  }
  const key = (await tasks.describe()).fields.find((f) => f.name === 'callsync_key__c')
  assert.ok(key.externalId && key.unique && key.createable && key.updateable)

  const first = await tasks.upsert({ callsync_key__c: 'call.1', Subject: 'Call', WhoId: jane }, 'callsync_key__c')
  assert.equal(first.created, true)
  const again = await tasks.upsert({ callsync_key__c: 'call.1', Status: 'Completed' }, 'callsync_key__c')
  assert.equal(again.created, false)
  assert.equal(again.id, first.id)
  const taken = await refused(tasks.create({ callsync_key__c: 'call.1' }), 'DUPLICATE_VALUE')
  assert.ok(taken.message.includes(first.id.slice(0, 15)) && !taken.message.includes(first.id))
  const bulk = await tasks.upsert([
    { callsync_key__c: 'call.1', Subject: 'Call again' }, { callsync_key__c: 'call.2', Subject: 'Call' },
    { callsync_key__c: 'twin' }, { callsync_key__c: 'twin' },
  ], 'callsync_key__c')
  assert.deepEqual(bulk.map((r) => r.success), [true, true, false, false])
  assert.deepEqual(bulk.slice(0, 2).map((r) => r.created), [false, true])
})

await test('composite graph', async () => {
  const answer = await conn.requestPost('/composite/graph', {
    graphs: [
      { graphId: 'good', compositeRequest: [
        { method: 'POST', url: '/services/data/v60.0/sobjects/Contact', referenceId: 'who', body: { LastName: 'Graph' } },
        { method: 'POST', url: '/services/data/v60.0/sobjects/Task', referenceId: 'call', body: { WhoId: '@{who.id}' } },
      ] },
      { graphId: 'bad', compositeRequest: [
        { method: 'POST', url: '/services/data/v60.0/sobjects/Contact', referenceId: 'who', body: { LastName: 'Undone' } },
        { method: 'POST', url: '/services/data/v60.0/sobjects/Task', referenceId: 'call', body: { CallType: 'Sideways' } },
      ] },
    ],
  })
  assert.deepEqual(answer.graphs.map((g) => g.isSuccessful), [true, false])
  assert.equal(answer.graphs[1].graphResponse.compositeResponse[0].body[0].errorCode, 'PROCESSING_HALTED')
  assert.equal(await contacts.count({ LastName: 'Undone' }), 0)
})

await test('limits', async () => {
  const limits = await conn.limits()
  assert.equal(limits.DailyApiRequests.Max, 100000)
  assert.ok(conn.limitInfo.apiUsage.used > 0)
  assert.equal(conn.limitInfo.apiUsage.limit, 100000)
  await control('PUT', 'settings', { dailyUsed: 100000 })
  await refused(conn.query('SELECT Id FROM User'), 'REQUEST_LIMIT_EXCEEDED')
  await control('PUT', 'settings', { dailyUsed: 0 })
})

console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
