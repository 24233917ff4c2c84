-- SHA-2 and HMAC of OpenSSL, which nginx has loaded.

local ffi = require "ffi"

ffi.cdef[[
unsigned char *SHA256(const char *d, size_t n, unsigned char *md);
const void *EVP_sha256(void);
const void *EVP_sha512(void);
unsigned char *HMAC(const void *md, const char *key, int key_len,
    const char *d, size_t n, unsigned char *out, unsigned int *len);
]]

local _M = {}

local digest = ffi.new("unsigned char[64]")
local length = ffi.new("unsigned int[1]")


function _M.hex(bytes)
    return (bytes:gsub(".", function(c)
        return string.format("%02x", c:byte())
    end))
end


function _M.sha256(text)
    ffi.C.SHA256(text, #text, digest)

    return _M.hex(ffi.string(digest, 32))
end


-- bytes; hash: "SHA256" or "SHA512"

function _M.hmac(hash, key, text)
    local md = hash == "SHA512" and ffi.C.EVP_sha512() or ffi.C.EVP_sha256()

    ffi.C.HMAC(md, key, #key, text, #text, digest, length)

    return ffi.string(digest, length[0])
end


return _M
