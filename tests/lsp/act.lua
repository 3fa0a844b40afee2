-- Opens a file in Neovim, chooses a code action by the beginning of its title, and writes what came of it.
-- Arguments: Python, the file, the title, the first and the last line (0 for the cursor's line alone).
local python, path, title, first, last = unpack(arg)
first, last = tonumber(first), tonumber(last)

local function fail(reason)
  io.stderr:write(reason .. "\n" .. vim.api.nvim_exec2("messages", { output = true }).output .. "\n")
  vim.cmd("cquit 1")
end

vim.cmd.edit(vim.fn.fnameescape(path))
local buffer = vim.api.nvim_get_current_buf()
local id = vim.lsp.start({
  name = "assistant",
  cmd = { python, "-m", "assistant", "lsp" },
  root_dir = vim.fn.fnamemodify(path, ":h"),
})
local client
local is_ready = vim.wait(20000, function()
  client = vim.lsp.get_client_by_id(id)
  return client and client.initialized and vim.lsp.buf_is_attached(buffer, id)
end, 10)
if not is_ready then
  fail("the server did not start")
end

local has_ended = false
vim.api.nvim_create_autocmd("LspProgress", {
  callback = function(event)
    has_ended = has_ended or event.data.params.value.kind == "end"
  end,
})
vim.api.nvim_win_set_cursor(0, { first, 0 })
local options = {
  apply = true,
  filter = function(action)
    return vim.startswith(action.title, title)
  end,
}
if last > 0 then
  options.range = { start = { first, 0 }, ["end"] = { last, math.max(#vim.fn.getline(last) - 1, 0) } }
end
vim.lsp.buf.code_action(options)
local function is_done()
  return has_ended and (not vim.startswith(title, "Explain") or vim.endswith(vim.api.nvim_buf_get_name(0), ".md"))
end
if not vim.wait(120000, is_done, 10) then
  fail("the action did not end")
end
vim.cmd("wall")
print("shown: " .. vim.api.nvim_buf_get_name(0))
print(table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n"))
client:stop()
vim.wait(5000, function() return client:is_stopped() end, 10)
vim.cmd("qall!")
