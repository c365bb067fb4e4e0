-- Evaluates each line of the files in `arg` as an expression, and prints the results:
-- one value a line, numbers in full, strings quoted, errors as they are.
arg = arg or ARGUMENTS

local function show(value)
  local kind = type(value)
  if kind == "number" then return tostring(value) .. (" (%.17g)"):format(value) end
  if kind == "string" then return ("%q"):format(value):gsub("\\\n", "\\n") end
  if kind == "boolean" or kind == "nil" then return tostring(value) end
  return kind
end

for _, file in ipairs(arg) do
  for line in io.lines(file) do
    if line ~= "" and line:sub(1, 1) ~= "#" then
      print("> " .. line)
      local chunk, message = loadstring("return " .. line, "=snippet")
      local results = chunk and { n = 0, pcall(chunk) } or { false, message }
      local n = table.maxn(results)
      for i = 1, n do print((i == 1 and "ok " or "   ") .. tostring((show(results[i])))) end
    end
  end
end
