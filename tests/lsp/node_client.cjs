// VS Code's own protocol library talks to the server: menu, command, edit. Arguments: the extension's
// directory, whose node_modules it uses, then the server's program.
const { createRequire } = require("node:module");
const { spawn } = require("node:child_process");
const [extension, program, ...args] = process.argv.slice(2);
const protocol = createRequire(`${extension}/package.json`)("vscode-languageserver-protocol/node");

const server = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
const connection = protocol.createProtocolConnection(
  new protocol.StreamMessageReader(server.stdout),
  new protocol.StreamMessageWriter(server.stdin),
);
const uri = "file:///project/shapes.py";
const start = { line: 0, character: 0 };

async function main() {
  const edited = new Promise((resolve) => {
    connection.onRequest(protocol.ApplyWorkspaceEditRequest.type, (params) => {
      resolve(params.edit);
      return { applied: true };
    });
  });
  connection.onError(([error]) => fail(error));
  connection.listen();
  const codeAction = {
    dataSupport: true,
    codeActionLiteralSupport: { codeActionKind: { valueSet: ["quickfix", "refactor"] } },
  };
  await connection.sendRequest(protocol.InitializeRequest.type, {
    processId: process.pid,
    rootUri: null,
    capabilities: { textDocument: { codeAction }, workspace: { workspaceEdit: { documentChanges: true } } },
  });
  await connection.sendNotification(protocol.InitializedNotification.type, {});
  const textDocument = { uri, languageId: "python", version: 1, text: "def area(w, h):\n    pass\n" };
  await connection.sendNotification(protocol.DidOpenTextDocumentNotification.type, { textDocument });
  const entries = await connection.sendRequest(protocol.CodeActionRequest.type, {
    textDocument: { uri },
    range: { start, end: start },
    context: { diagnostics: [] },
  });
  const chosen = entries.find((entry) => entry.title === "Implement `area`");
  await connection.sendRequest(protocol.ExecuteCommandRequest.type, {
    command: chosen.command.command,
    arguments: chosen.command.arguments,
  });
  console.log(JSON.stringify(await edited));
  await connection.sendRequest(protocol.ShutdownRequest.type);
  await connection.sendNotification(protocol.ExitNotification.type);
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

server.on("exit", (code) => process.exit(code ?? 1));
main().catch(fail);
