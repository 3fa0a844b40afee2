-- Opens a file in Neovim, chooses a code action by the beginning of its title, and writes what came of it.
-- MEANWHILE and THEN are commands that are run once the answer has begun, and once the action has ended.
-- Arguments: Python, the file, the title, the first and the last line (0 for the cursor's line alone).
local python, path, title, first, last = unpack(arg)
first, last = tonumber(first), tonumber(last)

local function fail(reason)
  io.stderr:write(reason .. "\n" .. vim.api.nvim_exec2("messages", { output = true }).output .. "\n")
  vim.cmd("cquit 1")
end

vim.o.fixendofline = false -- what Neovim adds by itself is not what is tested
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

local has_ended, has_begun = false, false
vim.api.nvim_create_autocmd("LspProgress", {
  callback = function(event)
    local value = event.data.params.value
    has_ended = has_ended or value.kind == "end"
    has_begun = has_begun or vim.startswith(value.message or "", "1 line") or vim.endswith(value.message or "", " lines")
  end,
})

-- Chooses the action whose title begins so.
function Choose(wanted, options)
  vim.lsp.buf.code_action(vim.tbl_extend("force", options or {}, {
    apply = true,
    filter = function(action)
      return vim.startswith(action.title, wanted)
    end,
  }))
end

vim.api.nvim_win_set_cursor(0, { first, 0 })
local options = {}
if last > 0 then
  options.range = { start = { first, 0 }, ["end"] = { last, math.max(#vim.fn.getline(last) - 1, 0) } }
end
Choose(title, options)
if (vim.env.MEANWHILE or "") ~= "" then
  if not vim.wait(60000, function() return has_begun end, 5) then
    fail("no answer began")
  end
  vim.cmd(vim.env.MEANWHILE)
end
local function is_done()
  return has_ended and (not vim.startswith(title, "Explain") or vim.endswith(vim.api.nvim_buf_get_name(0), ".md"))
end
if not vim.wait(120000, is_done, 10) then
  fail("the action did not end")
end
if (vim.env.THEN or "") ~= "" then
  vim.cmd(vim.env.THEN)
end
vim.cmd("wall")
print("shown: " .. vim.api.nvim_buf_get_name(0))
print(table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n"))
io.stdout:write(vim.api.nvim_exec2("messages", { output = true }).output)
client:stop()
vim.wait(5000, function() return client:is_stopped() end, 10)
vim.cmd("qall!")
