-- One POST /emails of SIZE octets of text per request, each to a recipient of
-- its own among 1,000 domains. contrib/bench/accept runs it.
local size = tonumber(os.getenv("SIZE") or "10000")
local words, n, refused = {}, 0, 0

math.randomseed(7)
for i = 1, size / 4 do
	words[i] = string.format("%x", math.random(1, 0xfffffff))
end
local text = string.sub(table.concat(words, " "), 1, size)

wrk.method = "POST"
wrk.headers["Authorization"] = "Bearer " .. os.getenv("KEY")
wrk.headers["Content-Type"] = "application/json"

function request()
	n = n + 1
	return wrk.format(nil, "/emails", nil, string.format(
		'{"from":"Sender <me@sender.zz>","to":"user%d@d%d.rcpt.zz",' ..
		'"subject":"Hello %d","text":"%s"}', n, n % 1000, n, text))
end

function response(status, headers, body)
	if status ~= 200 then
		refused = refused + 1
		if refused <= 3 then
			print(status, body)
		end
	end
end
