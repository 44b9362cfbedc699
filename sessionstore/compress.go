package sessionstore

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// compressor makes payloads smaller and whole again. It works on as many at once as there are processors and lets the
// others wait, so its memory has a bound: about 3 MiB for each of them. It is made when it is first needed.
type compressor struct {
	encoder func() (*zstd.Encoder, error)
	decoder func() (*zstd.Decoder, error)
}

// compressWindow is how far back a payload can refer to itself, in bytes; more would not help at MaxPayload.
const compressWindow = MaxPayload

func newCompressor() compressor {
	return compressor{
		encoder: sync.OnceValues(func() (*zstd.Encoder, error) {
			return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(compressWindow),
				zstd.WithLowerEncoderMem(true), zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)))
		}),
		decoder: sync.OnceValues(func() (*zstd.Decoder, error) {
			return zstd.NewReader(nil, zstd.WithDecoderMaxMemory(MaxPayload), zstd.WithDecoderLowmem(true),
				zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)))
		}),
	}
}

// pack returns what to store of a payload: compressed, if it has at least threshold bytes and gets smaller by it. A
// threshold of 0 compresses nothing.
func (c compressor) pack(payload []byte, threshold int) ([]byte, Encoding, error) {
	if threshold == 0 || len(payload) < threshold {
		return payload, Plain, nil
	}
	encoder, err := c.encoder()
	if err != nil {
		return nil, Plain, fmt.Errorf("compress: %w", err)
	}
	packed := encoder.EncodeAll(payload, make([]byte, 0, len(payload)/2))
	if len(packed) >= len(payload) {
		return payload, Plain, nil
	}
	return packed, Zstd, nil
}

// unpack makes a session's payload plain. Whatever the stored bytes say, the result has MaxPayload bytes at most. The
// error is an [UnavailableError]: the session is there, and cannot be read.
func (c compressor) unpack(s Session) (Session, error) {
	var err error
	switch s.Encoding {
	case Plain:
		return s, nil
	case Zstd:
		if s.Payload, err = c.expand(s.Payload); err != nil {
			err = fmt.Errorf("the payload of %v is damaged: %w", s.Key, err)
		}
	default:
		err = fmt.Errorf("the payload of %v has the encoding %d, of a later version", s.Key, s.Encoding)
	}
	if err != nil {
		return Session{}, &UnavailableError{Op: "decompress", Cause: err}
	}
	s.Encoding = Plain
	return s, nil
}

func (c compressor) expand(packed []byte) ([]byte, error) {
	decoder, err := c.decoder()
	if err != nil {
		return nil, err
	}
	return decoder.DecodeAll(packed, nil)
}
