-- Runs on top of what docs/editors.md says to paste: waits for the server, presses `grf` and prints the menu.
local function fail(reason)
  io.stderr:write(reason .. "\n")
  vim.cmd("cquit 1")
end

vim.cmd.edit(vim.fn.fnameescape(vim.env.AS_FILE))
if not vim.wait(20000, function()
  local client = vim.lsp.get_clients({ name = "assistant", bufnr = 0 })[1]
  return client and client.initialized
end, 10) then
  fail("the server did not start")
end
local place = { lnum = 1, col = 11, end_lnum = 1, end_col = 12, message = "undefined name `x`", source = "ruff" }
vim.diagnostic.set(vim.api.nvim_create_namespace("another server"), 0, { place })
vim.api.nvim_win_set_cursor(0, { 2, 0 })
local titles
vim.ui.select = function(items)
  titles = {}
  for _, item in ipairs(items) do
    table.insert(titles, item.action.title)
  end
end
vim.api.nvim_feedkeys("grf", "x", false)
if not vim.wait(20000, function() return titles ~= nil end, 10) then
  fail("no menu came: " .. vim.api.nvim_exec2("messages", { output = true }).output)
end
io.stdout:write(table.concat(titles, "\n"))
vim.cmd("qall!")
