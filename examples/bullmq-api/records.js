// Records of jobs in MongoDB, which outlive the queue. Without MONGO_URL nothing is recorded.
const NOTHING = {
  async created() {},
  async finished() {},
  async find() {
    return null;
  },
  async close() {},
};

export async function openRecords(url = process.env.MONGO_URL) {
  if (!url) return NOTHING;
  const { MongoClient } = await import('mongodb');
  const client = await new MongoClient(url).connect();
  const jobs = client.db().collection('jobs');
  return {
    async created(id, data) {
      await jobs.insertOne({ _id: id, ...data, createdAt: new Date() });
    },
    async finished(id, outcome) {
      await jobs.updateOne({ _id: id }, { $set: { ...outcome, finishedAt: new Date() } });
    },
    async find(id) {
      return jobs.findOne({ _id: id });
    },
    async close() {
      await client.close();
    },
  };
}
