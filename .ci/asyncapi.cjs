// Validates AsyncAPI documents by the parser of their makers: node .ci/asyncapi.cjs FILE…
const { Parser, fromFile } = require("@asyncapi/parser");
const { AvroSchemaParser } = require("@asyncapi/avro-schema-parser");

const ERROR = 0;
const WARNING = 1;

(async () => {
  const parser = new Parser();
  parser.registerSchemaParser(AvroSchemaParser());
  for (const file of process.argv.slice(2)) {
    const { document, diagnostics } = await fromFile(parser, file).parse();
    const problems = diagnostics.filter(({ severity }) => severity === ERROR || severity === WARNING);
    for (const { code, message, path } of problems) console.error(`${file}: ${path.join(".")}: ${code}: ${message}`);
    if (!document || problems.length > 0) process.exitCode = 1;
    else console.log(`${file}: valid, ${document.allMessages().all().length} messages`);
  }
})();
