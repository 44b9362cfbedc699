-- Each of wrk's threads has a real server of its own.
local servers = {"{{.Real1}}", "{{.Real2}}"}
local given = 0

function setup(thread)
	given = given % #servers + 1
	thread.addr = wrk.lookup(servers[given], "80")[1]
end
