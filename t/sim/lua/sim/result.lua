-- What a call makes: who is seen in which of its pictures, and the answer that
-- carries them.

local cjson = require "cjson"
local image = require "sim.image"

local _M = {}

local dict = ngx.shared.sim

-- members of an answer that no version of the API has had so far

local EXTRA = [["safety":{"score":0.10,"notes":["a \"]}\u00e9",null]}]]
local MORE = [["seed":18446744073709551615]]


-- the ids a request names, sorted, each once

function _M.named(body, operation)
    local seen, ids = {}, {}

    local function add(id)
        if not seen[id] then
            seen[id] = true
            ids[#ids + 1] = id
        end
    end

    if operation ~= "generate" then
        for _, id in ipairs(body.profile_ids or {}) do
            add(id)
        end
    end

    for id in (body.prompt or ""):gmatch("%[%[([^%[%]]+)%]%]") do
        add(id)
    end

    table.sort(ids)

    return ids
end


-- who is seen in which output: counts by id, and in how many outputs anybody

function _M.recognise(ids, n)
    local counts, hit, identity = {}, {}, 0

    for _, id in ipairs(ids) do
        local once = id:match("^prof_once(%d?)")

        if once then
            counts[id] = n > 0 and 1 or nil
            hit[math.min(math.max(tonumber(once) or 1, 1), n)] = true

        elseif id:find("^prof_") and not id:find("^prof_none") and n > 0 then
            counts[id] = n

            for i = 1, n do
                hit[i] = true
            end
        end
    end

    for i = 1, n do
        identity = identity + (hit[i] and 1 or 0)
    end

    return counts, identity
end


local function outputs(out, n, urls, work)
    for i = 1, n do
        out[#out + 1] = i == 1 and "\"" or ",\""

        if urls then
            out[#out + 1], work.paths[#work.paths + 1] =
                image.url(work.size, work.format)
        else
            work.paths[#work.paths + 1] =
                image.base64(out, work.size, work.format)
        end

        out[#out + 1] = "\""
    end
end


local function subjects(work)
    if work.fault == "nosubjects" then
        return "\"known_subjects\":null,"

    elseif work.silent then
        return ""
    end

    return "\"known_subjects\":{\"counts\":" .. cjson.encode(work.counts)
           .. "},"
end


-- an EditResponse in pieces.  work: n, counts, mode ("urls"), size, format,
-- fault; silent: without known_subjects

function _M.pictures(work)
    local kind = work.fault
    local urls = work.mode == "urls"
    local inside = kind == "imagesurls"
    local n = kind == "emptyimages" and 0 or work.n
    local extra = kind == "extra"
    local out = { (extra and "{" .. EXTRA .. "," or "{") .. subjects(work) }

    work.paths = {}

    out[2] = "\"images\":["
    outputs(out, (inside or not urls) and n or 0, inside, work)
    out[#out + 1] = "],\"download_urls\":["
    outputs(out, (urls and not inside) and n or 0, true, work)
    out[#out + 1] = extra and "]," .. MORE .. "}" or "]}"

    dict:set("delivered", cjson.encode(work.paths))

    return out
end


return _M
