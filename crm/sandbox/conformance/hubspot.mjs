// Drives a HubSpot sandbox with HubSpot's official Node SDK and checks every
// answer the SDK deserializes. Prints "N passed, N failed".
//
//   HUBSPOT_URL    the sandbox's URL (required)
//   HUBSPOT_TOKEN  an access token it knows (default: sandbox-token)

import { Client } from '@hubspot/api-client'
import { conforms } from './conforms.mjs'

const url = process.env.HUBSPOT_URL
if (!url) {
  console.error('HUBSPOT_URL is not set; give the URL of a running HubSpot sandbox')
  process.exit(2)
}
const client = new Client({
  basePath: url, accessToken: process.env.HUBSPOT_TOKEN ?? 'sandbox-token', numberOfApiCallRetries: 0,
})
const { contacts, owners, properties, associations } = client.crm
const { calls, meetings, tasks, notes } = client.crm.objects
const v4 = associations.v4

let passed = 0
let failed = 0

function report(what, wrong) {
  if (wrong.length === 0) {
    passed++
    return
  }
  failed++
  console.error(`FAIL ${what}\n     ${wrong.join('\n     ')}`)
}

// check holds an answer of one API area against the SDK's model and further
// expectations, each [actual, wanted].
function check(what, area, answer, model, ...expected) {
  const wrong = answer?.constructor?.name === model ? [] : [`answer is a ${answer?.constructor?.name}, not a ${model}`]
  wrong.push(...conforms(area, answer))
  for (const [actual, wanted] of expected) {
    if (JSON.stringify(actual) !== JSON.stringify(wanted)) {
      wrong.push(`got ${JSON.stringify(actual)}, want ${JSON.stringify(wanted)}`)
    }
  }
  report(what, wrong)
  return answer
}

// refused checks an error answer.
async function refused(what, code, category, request, text = '') {
  try {
    await request()
    report(what, ['the request was not refused'])
  } catch (e) {
    const body = e.body ?? {}
    const wrong = []
    if (e.code !== code) wrong.push(`status ${e.code}, want ${code}: ${e.message}`)
    if (body.category !== category) wrong.push(`category ${body.category}, want ${category}`)
    for (const name of ['message', 'correlationId']) {
      if (typeof body[name] !== 'string' || body[name] === '') wrong.push(`${name} is ${JSON.stringify(body[name])}`)
    }
    if (body.status !== 'error') wrong.push(`status member is ${JSON.stringify(body.status)}`)
    if (!String(body.message).includes(text)) wrong.push(`message ${body.message} lacks ${text}`)
    for (const detail of body.errors ?? []) {
      if (typeof detail.message !== 'string') wrong.push(`an error has no message: ${JSON.stringify(detail)}`)
    }
    report(what, wrong)
  }
}

async function settings(change) {
  const answer = await fetch(url + '/_sandbox/settings', {
    method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(change),
  })
  if (!answer.ok) throw new Error(`settings: ${answer.status} ${await answer.text()}`)
}

const CONTACTS = 'crm/contacts'
const run = Date.now().toString(36)
const email = (name) => `${name}.${run}@example.com`
const to = (id, associationTypeId) => ({ to: { id }, types: [{ associationCategory: 'HUBSPOT_DEFINED', associationTypeId }] })
const when = '2026-11-25T12:00:00Z'

await settings({ searchLag: '0s', searchesPerSecond: 0 })

// Properties and groups.
{
  const area = 'crm/properties'
  const groups = await properties.groupsApi.getAll('contacts')
  check('list property groups', area, groups, 'CollectionResponsePropertyGroupNoPaging')
  if (!groups.results.some((g) => g.name === 'sandbox_check')) {
    check('create a property group', area,
      await properties.groupsApi.create('contacts', { name: 'sandbox_check', label: 'Check', displayOrder: -1 }), 'PropertyGroup')
  }
  check('get a property group', area, await properties.groupsApi.getByName('contacts', 'sandbox_check'), 'PropertyGroup')
  const groupOf = { contacts: 'sandbox_check', calls: 'call', meetings: 'meeting', tasks: 'task' }
  for (const [type, groupName] of Object.entries(groupOf)) {
    const definition = {
      name: `key_${run}`, label: 'Key', groupName, type: 'string', fieldType: 'text', hasUniqueValue: true,
    }
    check(`create a unique property on ${type}`, area, await properties.coreApi.create(type, definition), 'Property')
    await refused(`create it again on ${type}`, 409, 'OBJECT_ALREADY_EXISTS', () => properties.coreApi.create(type, definition))
    const list = await properties.coreApi.getAll(type)
    check(`list properties of ${type}`, area, list, 'CollectionResponsePropertyNoPaging',
      [list.results.some((p) => p.name === definition.name && p.hasUniqueValue), true])
  }
  const mood = {
    name: `mood_${run}`, label: 'Mood', groupName: 'sandbox_check', type: 'enumeration', fieldType: 'select',
    options: [{ label: 'Good', value: 'good', hidden: false, displayOrder: 0 }],
  }
  const batch = await properties.batchApi.create('contacts', { inputs: [mood] })
  check('create properties in a batch', area, batch, 'BatchResponseProperty', [batch.results.length, 1])
  check('update a property', area, await properties.coreApi.update('contacts', mood.name, { label: 'Temper' }), 'Property')
  check('get a property', area, await properties.coreApi.getByName('contacts', mood.name), 'Property')
  check('read properties in a batch', area,
    await properties.batchApi.read('contacts', { archived: false, inputs: [{ name: mood.name }, { name: 'nope' }] }), 'BatchResponsePropertyWithErrors')
  await properties.coreApi.archive('contacts', mood.name)
  await refused('get an archived property', 404, 'OBJECT_NOT_FOUND', () => properties.coreApi.getByName('contacts', mood.name))
}

// Owners.
{
  const page = check('list owners', 'crm/owners', await owners.ownersApi.getPage(undefined, undefined, 100), 'CollectionResponsePublicOwnerForwardPaging')
  const [first] = page.results
  const found = await owners.ownersApi.getPage(first.email)
  check('find an owner by email', 'crm/owners', found, 'CollectionResponsePublicOwnerForwardPaging', [found.results.map((o) => o.id), [first.id]])
  check('get an owner', 'crm/owners', await owners.ownersApi.getById(Number(first.id)), 'PublicOwner')
  await refused('get an owner who is not there', 404, 'OBJECT_NOT_FOUND', () => owners.ownersApi.getById(1))
}

// Contacts one by one.
const ada = check('create a contact', CONTACTS,
  await contacts.basicApi.create({ properties: { email: email('ada'), firstname: 'Ada', phone: '(555) 123-4567' }, associations: [] }),
  'SimplePublicObject')
{
  const byEmail = await contacts.basicApi.getById(email('ada'), ['email', 'lastname'], undefined, ['calls'], false, 'email')
  check('get a contact by email', CONTACTS, byEmail, 'SimplePublicObjectWithAssociations',
    [byEmail.id, ada.id], [byEmail.properties.lastname, null])
  const updated = await contacts.basicApi.update(ada.id, { properties: { lastname: 'Lovelace' } })
  check('update a contact', CONTACTS, updated, 'SimplePublicObject', [updated.properties.lastname, 'Lovelace'])
  check('list contacts', CONTACTS, await contacts.basicApi.getPage(1), 'CollectionResponseSimplePublicObjectWithAssociationsForwardPaging')
  await refused('create the same contact', 409, 'CONFLICT',
    () => contacts.basicApi.create({ properties: { email: email('ada') } }), `Contact already exists. Existing ID: ${ada.id}`)
  await refused('create with an unknown property', 400, 'VALIDATION_ERROR',
    () => contacts.basicApi.create({ properties: { firstname: 'x', nope: '1' } }), 'PROPERTY_DOESNT_EXIST')
  await refused('create with a bad email', 400, 'VALIDATION_ERROR',
    () => contacts.basicApi.create({ properties: { email: 'ada@' } }), 'INVALID_EMAIL')
  await refused('create with an unknown option', 400, 'VALIDATION_ERROR',
    () => contacts.basicApi.create({ properties: { firstname: 'x', hs_lead_status: 'NOPE' } }), 'INVALID_OPTION')
  await refused('get a contact who is not there', 404, 'OBJECT_NOT_FOUND', () => contacts.basicApi.getById('999999999'))
}

// Batches of contacts.
{
  const api = contacts.batchApi
  const made = await api.create({ inputs: ['b', 'c'].map((n) => ({ properties: { email: email(n), firstname: n } })) })
  check('batch create contacts', CONTACTS, made, 'BatchResponseSimplePublicObject', [made.results.length, 2], [made.status, 'COMPLETE'])
  const traced = await api.create({
    inputs: [
      { objectWriteTraceId: 'good', properties: { email: email('d') } },
      { objectWriteTraceId: 'bad', properties: { email: email('e'), nope: '1' } },
      { objectWriteTraceId: 'taken', properties: { email: email('ada') } },
    ],
  })
  check('batch create contacts with trace ids', CONTACTS, traced, 'BatchResponseSimplePublicObjectWithErrors',
    [traced.numErrors, 2], [traced.results.length, 1], [traced.errors.map((e) => e.context.objectWriteTraceId[0]), ['bad', 'taken']])
  await refused('batch create with a bad input', 400, 'VALIDATION_ERROR',
    () => api.create({ inputs: [{ properties: { email: email('f') } }, { properties: { email: email('g'), nope: '1' } }] }))
  const read = await api.read({ inputs: made.results.map(({ id }) => ({ id })), properties: ['email'], propertiesWithHistory: [] })
  check('batch read contacts', CONTACTS, read, 'BatchResponseSimplePublicObject', [read.results.length, 2])
  const byEmail = await api.read({
    idProperty: 'email', inputs: [{ id: email('b') }, { id: email('nobody') }], properties: ['firstname'], propertiesWithHistory: [],
  })
  check('batch read by email, one missing', CONTACTS, byEmail, 'BatchResponseSimplePublicObjectWithErrors',
    [byEmail.results.map((r) => r.properties.firstname), ['b']], [byEmail.errors[0].context.ids, [email('nobody')]])
  const updated = await api.update({ inputs: made.results.map(({ id }) => ({ id, properties: { lastname: 'X' } })) })
  check('batch update contacts', CONTACTS, updated, 'BatchResponseSimplePublicObject', [updated.results.length, 2])
  const lost = await api.update({ inputs: [{ id: made.results[0].id, properties: { lastname: 'Y' } }, { id: '999999999', properties: { lastname: 'Y' } }] })
  check('batch update, one missing', CONTACTS, lost, 'BatchResponseSimplePublicObjectWithErrors', [lost.results.length, 1])
  const key = { idProperty: `key_${run}`, id: 'k1' }
  for (const isNew of [true, false]) {
    const put = await api.upsert({ inputs: [{ ...key, properties: { firstname: 'Upserted' } }] })
    check(`batch upsert contacts, new: ${isNew}`, CONTACTS, put, 'BatchResponseSimplePublicUpsertObject', [put.results[0]._new, isNew])
  }
  await refused('batch upsert without a unique property', 400, 'VALIDATION_ERROR',
    () => api.upsert({ inputs: [{ id: 'x', idProperty: 'phone', properties: { firstname: 'x' } }] }), 'non-unique')
  await refused('a batch of 101', 400, 'VALIDATION_ERROR',
    () => api.read({ inputs: Array.from({ length: 101 }, (_, i) => ({ id: `${i}` })), properties: [], propertiesWithHistory: [] }), '100')
  await api.archive({ inputs: [{ id: made.results[0].id }] })
  await refused('get an archived contact', 404, 'OBJECT_NOT_FOUND', () => contacts.basicApi.getById(made.results[0].id))
  check('get it as archived', CONTACTS,
    await contacts.basicApi.getById(made.results[0].id, undefined, undefined, undefined, true), 'SimplePublicObjectWithAssociations')
}

// Activities, with the contact they belong to.
for (const [name, api, typeId, extra] of [
  ['calls', calls, 194, { hs_call_title: 'Intro', hs_call_direction: 'OUTBOUND', hs_call_status: 'COMPLETED', hs_call_duration: '46000' }],
  ['meetings', meetings, 200, { hs_meeting_title: 'Demo', hs_meeting_start_time: when, hs_meeting_end_time: '2026-11-25T12:30:00Z', hs_meeting_outcome: 'SCHEDULED' }],
  ['tasks', tasks, 204, { hs_task_subject: 'Call back', hs_task_status: 'NOT_STARTED', hs_task_priority: 'HIGH', hs_task_type: 'TODO' }],
  ['notes', notes, 202, { hs_note_body: 'Said yes' }],
]) {
  const area = `crm/objects/${name}`
  const input = { properties: { hs_timestamp: when, ...extra }, associations: [to(ada.id, typeId)] }
  const made = await api.batchApi.create({ inputs: [input, input] })
  check(`batch create ${name} with associations`, area, made, 'BatchResponseSimplePublicObject', [made.results.length, 2])
  const id = made.results[0].id
  const got = await api.basicApi.getById(id, Object.keys(extra), undefined, ['contacts'])
  check(`get one of the ${name}`, area, got, 'SimplePublicObjectWithAssociations', [got.associations.contacts.results[0].id, ada.id])
  check(`create one of the ${name}`, area, await api.basicApi.create(input), 'SimplePublicObject')
  const read = await api.batchApi.read({ inputs: made.results.map((r) => ({ id: r.id })), properties: ['hs_timestamp'], propertiesWithHistory: [] })
  check(`batch read ${name}`, area, read, 'BatchResponseSimplePublicObject', [read.results[0].properties.hs_timestamp, when])
  check(`batch update ${name}`, area,
    await api.batchApi.update({ inputs: [{ id, properties: { hs_timestamp: when } }] }), 'BatchResponseSimplePublicObject')
  const found = await api.searchApi.doSearch({
    filterGroups: [{ filters: [{ propertyName: 'hs_object_id', operator: 'EQ', value: id }] }], properties: ['hs_timestamp'], limit: 10,
  })
  check(`search ${name}`, area, found, found?.constructor?.name, [found.total, 1], [found.results[0].id, id])
  await refused(`create ${name} without a time`, 400, 'VALIDATION_ERROR', () => api.basicApi.create({ properties: extra, associations: [] }), 'required')
  await refused(`create ${name} for nobody`, 400, 'VALIDATION_ERROR',
    () => api.basicApi.create({ ...input, associations: [to('999999999', typeId)] }))
  if (name !== 'notes') {
    const put = await api.batchApi.upsert({ inputs: [{ id: 'k1', idProperty: `key_${run}`, properties: input.properties }] })
    check(`batch upsert ${name}`, area, put, 'BatchResponseSimplePublicUpsertObject', [put.results[0]._new, true])
  }
}

// Search.
{
  const search = (request) => contacts.searchApi.doSearch({ properties: ['email'], limit: 10, ...request })
  const filter = (propertyName, operator, rest) => ({ filterGroups: [{ filters: [{ propertyName, operator, ...rest }] }] })
  for (const [what, request, total] of [
    ['by email', filter('email', 'EQ', { value: email('ada') }), 1],
    ['by several emails', filter('email', 'IN', { values: [email('ada'), email('d')] }), 2],
    ['by phone', { filterGroups: [{ filters: [
      { propertyName: 'hs_searchable_calculated_phone_number', operator: 'EQ', value: '5551234567' },
      { propertyName: 'email', operator: 'EQ', value: email('ada') }] }] }, 1],
    ['for nobody', filter('email', 'EQ', { value: email('nobody') }), 0],
  ]) {
    const found = await search(request)
    check(`search contacts ${what}`, CONTACTS, found, found?.constructor?.name, [found.total, total])
  }
  const page = await search({ limit: 1, sorts: ['-createdate'] })
  check('search a page', CONTACTS, page, page?.constructor?.name, [page.results.length, 1], [typeof page.paging?.next?.after, 'string'])
  await refused('search for an unknown property', 400, 'VALIDATION_ERROR', () => search(filter('nope', 'HAS_PROPERTY', {})))
  await refused('search with 201 a page', 400, 'VALIDATION_ERROR', () => search({ limit: 201 }))
}

// Associations.
{
  const area = 'crm/associations/v4'
  const call = await calls.basicApi.create({ properties: { hs_timestamp: when }, associations: [] })
  const types = to(ada.id, 194).types
  const pair = { _from: { id: call.id }, to: { id: ada.id } }
  check('batch associate', area, await v4.batchApi.create('calls', 'contacts', { inputs: [{ ...pair, types }] }), 'BatchResponseLabelsBetweenObjectPair')
  check('batch associate, one missing', area,
    await v4.batchApi.create('calls', 'contacts', { inputs: [{ ...pair, to: { id: '999999999' }, types }] }), 'BatchResponseLabelsBetweenObjectPairWithErrors')
  check('batch associate by default', area, await v4.batchApi.createDefault('calls', 'contacts', { inputs: [pair] }), 'BatchResponsePublicDefaultAssociation')
  const read = await v4.batchApi.getPage('calls', 'contacts', { inputs: [{ id: call.id }] })
  check('batch read associations', area, read, 'BatchResponsePublicAssociationMultiWithLabel',
    [read.results[0].to[0].toObjectId, ada.id], [read.results[0].to[0].associationTypes[0].typeId, 194])
  check('list associations', area, await v4.basicApi.getPage('calls', call.id, 'contacts'), 'CollectionResponseMultiAssociatedObjectWithLabelForwardPaging')
  check('associate', area, await v4.basicApi.create('calls', call.id, 'contacts', ada.id, types), 'LabelsBetweenObjectPair')
  check('associate by default', area, await v4.basicApi.createDefault('calls', call.id, 'contacts', ada.id), 'BatchResponsePublicDefaultAssociation')
  await v4.batchApi.archive('calls', 'contacts', { inputs: [{ _from: { id: call.id }, to: [{ id: ada.id }] }] })
  const none = await v4.batchApi.getPage('calls', 'contacts', { inputs: [{ id: call.id }] })
  check('batch read without associations', area, none, 'BatchResponsePublicAssociationMultiWithLabelWithErrors', [none.results.length, 0])
  await refused('associate with a wrong type', 400, 'VALIDATION_ERROR',
    () => v4.batchApi.create('calls', 'contacts', { inputs: [{ ...pair, types: to('', 200).types }] }))
}

// Merged and deleted contacts.
{
  const other = await contacts.basicApi.create({ properties: { email: email('lovelace') }, associations: [] })
  const merged = await contacts.basicApi.merge({ primaryObjectId: ada.id, objectIdToMerge: other.id })
  check('merge contacts', CONTACTS, merged, 'SimplePublicObject', [merged.id, ada.id])
  const followed = await contacts.basicApi.getById(other.id)
  check('get the merged contact', CONTACTS, followed, 'SimplePublicObjectWithAssociations', [followed.id, ada.id])
  await contacts.basicApi.purge({ objectId: ada.id })
  await refused('get a purged contact', 404, 'OBJECT_NOT_FOUND', () => contacts.basicApi.getById(ada.id))
}

// OAuth.
{
  const redirect = 'http://127.0.0.1:8765/callback'
  const query = new URLSearchParams({
    client_id: 'sandbox-client', redirect_uri: redirect, scope: 'crm.objects.contacts.read', state: 's',
  })
  const page = await fetch(`${url}/oauth/authorize?${query}`, { redirect: 'manual' })
  const code = new URL(page.headers.get('location')).searchParams.get('code')
  const api = client.oauth.tokensApi
  const granted = await api.create('authorization_code', code, redirect, 'sandbox-client', 'sandbox-secret')
  check('exchange a code', 'oauth', granted, 'TokenResponseIF', [granted.expiresIn, 1800])
  const refreshed = await api.create('refresh_token', undefined, undefined, 'sandbox-client', 'sandbox-secret', granted.refreshToken)
  check('refresh a token', 'oauth', refreshed, 'TokenResponseIF', [refreshed.refreshToken, granted.refreshToken])
  const limited = new Client({ basePath: url, accessToken: refreshed.accessToken, numberOfApiCallRetries: 0 })
  check('list contacts with it', CONTACTS, await limited.crm.contacts.basicApi.getPage(1), 'CollectionResponseSimplePublicObjectWithAssociationsForwardPaging')
  await refused('write with it', 403, 'MISSING_SCOPES', () => limited.crm.contacts.basicApi.create({ properties: { firstname: 'x' }, associations: [] }))
  const wrong = new Client({ basePath: url, accessToken: 'wrong', numberOfApiCallRetries: 0 })
  await refused('call with a wrong token', 401, 'INVALID_AUTHENTICATION', () => wrong.crm.contacts.basicApi.getPage(1))
}

// Limits.
await settings({ dailyLimit: 1 })
await refused('call beyond the daily quota', 429, 'RATE_LIMITS', () => contacts.basicApi.getPage(1), 'daily')
await settings({ dailyLimit: 0 })

console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
