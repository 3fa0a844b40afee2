-- Neovim 0.7: no `vim.lsp.start`, no filter, no progress events. Opens a file, chooses an action, writes it.
local python, path, title = vim.env.AS_PYTHON, vim.env.AS_FILE, vim.env.AS_TITLE

local function fail(reason)
  io.stderr:write(reason .. "\n")
  vim.cmd("cquit 1")
end

vim.cmd("edit " .. vim.fn.fnameescape(path))
local buffer = vim.api.nvim_get_current_buf()
local id = vim.lsp.start_client({ name = "assistant", cmd = { python, "-m", "assistant", "lsp" } })
vim.lsp.buf_attach_client(buffer, id)
if not vim.wait(20000, function()
  local client = vim.lsp.get_client_by_id(id)
  return client and client.initialized and vim.lsp.buf_is_attached(buffer, id)
end, 10) then
  fail("the server did not start")
end
local client = vim.lsp.get_client_by_id(id)
if client.offset_encoding ~= "utf-16" then
  fail("this is no old client: it counts in " .. client.offset_encoding)
end

local params = vim.lsp.util.make_range_params()
params.context = { diagnostics = {} }
local answer = client.request_sync("textDocument/codeAction", params, 20000, buffer)
local chosen
for _, action in ipairs(answer.result) do
  if vim.startswith(action.title, title) then
    chosen = action.command
  end
end
if not chosen then
  fail("not offered: " .. title)
end
local tick = vim.api.nvim_buf_get_changedtick(buffer)
client.request("workspace/executeCommand", { command = chosen.command, arguments = chosen.arguments }, nil, buffer)
if not vim.wait(60000, function() return vim.api.nvim_buf_get_changedtick(buffer) > tick end, 10) then
  fail("no edit came")
end
vim.cmd("write")
vim.lsp.stop_client(id)
vim.wait(5000, function() return vim.lsp.get_client_by_id(id) == nil end, 10)
vim.cmd("qall!")
