-- What docs/editors.md says to put into init.lua, with progress in the status line. See neovim.py.
vim.lsp.config("assistant", { cmd = { vim.env.AS_PYTHON, "-m", "assistant", "lsp" }, filetypes = { "python" } })
vim.lsp.enable("assistant")

vim.o.termguicolors, vim.o.swapfile, vim.o.number, vim.o.ruler, vim.o.showcmd = true, false, true, false, false
vim.o.statusline = " %f%m%=%{v:lua.vim.lsp.status()} "
vim.api.nvim_create_autocmd("LspProgress", { command = "redrawstatus" })
