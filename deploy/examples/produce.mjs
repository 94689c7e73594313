// Sends a touchpoint: npm install kafkajs; node produce.mjs localhost:9092 cx.touchpoints.web
// The key is the customer id. kafkajs 2 partitions as Java does (DefaultPartitioner).
import { randomUUID } from 'node:crypto'
import { Kafka, Partitioners } from 'kafkajs'

const [brokers, topic] = process.argv.slice(2)
const producer = new Kafka({ clientId: 'example', brokers: brokers.split(',') }).producer({
  createPartitioner: Partitioners.DefaultPartitioner,
  idempotent: true,
})
const touchpoint = {
  id: randomUUID(),
  source: 'example',
  customer_id: 'c-1',
  channel: 'web',
  kind: 'payment_failed',
  occurred_at: Date.now(),
}
await producer.connect()
await producer.send({ topic, messages: [{ key: touchpoint.customer_id, value: JSON.stringify(touchpoint) }] })
await producer.disconnect()
