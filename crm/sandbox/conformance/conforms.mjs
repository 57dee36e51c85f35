// Holds an answer the SDK deserialized against the SDK's own declarations.
//
// The SDK does not check what it reads: a missing member becomes undefined and
// a number stays a number where a string is declared. This does: every member
// a model declares as required is there, and every member that is there has
// the declared type. An optional member may be null, as the label of an
// unlabelled association is.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const require = createRequire(import.meta.url)
const codegen = join(dirname(require.resolve('@hubspot/api-client')), 'codegen')

// The errors inside a 207 answer lack these in HubSpot's documented example,
// although the SDK's model requires them.
const leftOut = new Set(['StandardError.links', 'StandardError.errors'])

const declarations = new Map()

// required lists the members a model's declaration does not mark optional.
function required(area, model) {
  const key = area + '/' + model
  if (!declarations.has(key)) {
    const text = readFileSync(join(codegen, area, 'models', model + '.d.ts'), 'utf8')
    const body = text.slice(text.indexOf('export declare class ' + model), text.indexOf('static readonly'))
    declarations.set(key, [...body.matchAll(/^    '(\w+)':/gm)].map((m) => m[1]))
  }
  return declarations.get(key)
}

// conforms returns what is wrong with a deserialized value, as a list.
export function conforms(area, value, path = 'answer') {
  const Model = value?.constructor
  if (typeof Model?.getAttributeTypeMap !== 'function') {
    return [`${path} was not deserialized into a model`]
  }
  const wrong = []
  const needed = required(area, Model.name)
  for (const name of needed) {
    if (value[name] === undefined && !leftOut.has(`${Model.name}.${name}`)) {
      wrong.push(`${path}.${name} is missing`)
    }
  }
  for (const { name, type } of Model.getAttributeTypeMap()) {
    if (value[name] !== undefined && (value[name] !== null || needed.includes(name))) {
      wrong.push(...fits(area, value[name], type, `${path}.${name}`))
    }
  }
  return wrong
}

function fits(area, value, type, path) {
  const no = [`${path} is ${JSON.stringify(value)}, not ${type}`]
  const nullable = type.match(/^(.*) \| null$/)
  const array = type.match(/^Array<(.*)>$/)
  const map = type.match(/^\{ \[key: string\]: (.*); \}$/)
  if (nullable) {
    return value === null ? [] : fits(area, value, nullable[1], path)
  }
  if (array) {
    return Array.isArray(value) ? value.flatMap((v, i) => fits(area, v, array[1], `${path}[${i}]`)) : no
  }
  if (map) {
    return value !== null && typeof value === 'object' && !Array.isArray(value)
      ? Object.entries(value).flatMap(([k, v]) => fits(area, v, map[1], `${path}.${k}`))
      : no
  }
  switch (type) {
    case 'any':
      return []
    case 'Date':
      return value instanceof Date && !Number.isNaN(value.getTime()) ? [] : no
    case 'string':
    case 'boolean':
      return typeof value === type ? [] : no
    case 'number':
      return Number.isFinite(value) ? [] : no
  }
  if (type.endsWith('Enum')) {
    return typeof value === 'string' ? [] : no
  }
  return conforms(area, value, path)
}
