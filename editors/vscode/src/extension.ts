/** Starts `assistant lsp` for Python files and stops it again. Everything else is the server's. */

import * as vscode from "vscode";
import { LanguageClient, type LanguageClientOptions, type ServerOptions } from "vscode-languageclient/node";

const PROGRAM = "assistantServer.command";

let client: LanguageClient | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  context.subscriptions.push(
    vscode.commands.registerCommand("assistantServer.restart", restart),
    vscode.workspace.onDidChangeConfiguration(async (event) => {
      if (event.affectsConfiguration(PROGRAM) || event.affectsConfiguration("assistant.delivery")) {
        await restart();
      }
    }),
  );
  await start();
}

export async function deactivate(): Promise<void> {
  await stop();
}

async function restart(): Promise<void> {
  await stop();
  await start();
}

async function stop(): Promise<void> {
  const stopping = client;
  client = undefined;
  await stopping?.dispose();
}

async function start(): Promise<void> {
  const [command, ...args] = vscode.workspace.getConfiguration().get<string[]>(PROGRAM, []);
  if (!command) {
    await complain(`${PROGRAM} is empty`);
    return;
  }
  const server: ServerOptions = { command, args };
  const options: LanguageClientOptions = {
    documentSelector: [{ language: "python" }, { notebook: "*", language: "python" }],
    initializationOptions: vscode.workspace.getConfiguration("assistant"),
    outputChannelName: "Assistant",
  };
  const starting = new LanguageClient("assistant", "Assistant", server, options);
  client = starting;
  try {
    await starting.start();
  } catch (error) {
    if (client === starting) {
      client = undefined;
    }
    await complain(`${command} did not start: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Say what is wrong, with the way to the setting that mends it. */
async function complain(reason: string): Promise<void> {
  const open = "Open the setting";
  const chosen = await vscode.window.showErrorMessage(`Assistant: ${reason}`, open);
  if (chosen === open) {
    await vscode.commands.executeCommand("workbench.action.openSettings", PROGRAM);
  }
}
