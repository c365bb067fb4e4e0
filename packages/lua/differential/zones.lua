-- Reads lines `Z NAME` and `T SECONDS` from the file `arg[1]`. For each time, prints the local time
-- in the zone that was named last, and what os.time returns for the local time and for variations
-- of it. In our interpreter, the caller has defined the global function `setzone`; in LuaJIT,
-- `setzone` calls the C library.
local setzone = setzone
if not setzone then
  local ffi = require("ffi")
  ffi.cdef("int setenv(const char *, const char *, int); void tzset(void);")
  function setzone(name) ffi.C.setenv("TZ", name, 1) ffi.C.tzset() end
end

-- mktime(3) first tries the UTC offset that its last call found. In the hour that occurs twice when
-- clocks are set back, that offset decides between the two answers, so both interpreters begin with
-- the same offset.
setzone("UTC0")
os.time({ year = 2000, month = 1, day = 1 })

for line in io.lines(arg[1]) do
  local kind, value = line:match("^(.) (.*)$")
  if kind == "Z" then
    setzone(value)
  else
    local t = tonumber(value)
    local d = os.date("*t", t)
    local there = os.date("%F %T %z %Z ", t) .. tostring(d.isdst)
    local back = {}
    for _, isdst in ipairs({ 0, 1, 2 }) do
      local f = { year = d.year, month = d.month, day = d.day, hour = d.hour, min = d.min, sec = d.sec }
      if isdst > 0 then f.isdst = isdst == 1 end
      back[#back + 1] = tostring(os.time(f))
    end
    back[#back + 1] = tostring(os.time(d))
    d.month = d.month + 6
    back[#back + 1] = tostring(os.time(d))
    d.day, d.hour, d.min, d.sec, d.isdst = d.day - 40, d.hour + 30, d.min - 70, d.sec + 90, nil
    back[#back + 1] = tostring(os.time(d))
    print(t, there, table.concat(back, " "))
  end
end
