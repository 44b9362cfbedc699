// Package archive is the file that sessiond admin export writes and import reads: sessions as any store has them.
//
// # Format
//
// A line "lvsession archive 1" and a newline, then records, then the end. Numbers are unsigned and big-endian; times are
// Unix milliseconds.
//
//	record: 4 bytes  length of the rest, at least 1
//	       32 bytes  key
//	        8 bytes  version
//	        8 bytes  created
//	        8 bytes  expires
//	        8 bytes  deadline, 0 for none
//	       32 bytes  subject, zeros for none
//	        1 byte   encoding of the payload: 0 plain, 1 zstd
//	        1 byte   length of the namespace, and the namespace
//	                 payload
//	end:    4 bytes  zero
//	        8 bytes  number of records
//	       32 bytes  SHA-256 of all that comes before
//
// Keys and subjects are hashes: whoever reads an archive can take over no session, but sees every payload.
package archive
