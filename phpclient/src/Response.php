<?php

declare(strict_types=1);

namespace Lvsession;

/**
 * An HTTP/1.1 answer.
 *
 * @internal
 */
final class Response
{
    /** Longest status line and headers together, in bytes. */
    public const MAX_HEAD = 65536;

    /** Longest body, in bytes: twice the largest payload of sessiond. */
    public const MAX_BODY = 2097152;

    public int $status;

    /** @var array<string, string> by lower-case name; a repeated header is joined with ", " */
    public array $headers;

    public string $body = '';

    /** An earlier attempt at the same request may have been carried out, its answer lost. */
    public bool $resent = false;

    private bool $http11;

    /**
     * @param array<string, string> $headers
     */
    private function __construct(int $status, array $headers, bool $http11)
    {
        $this->status = $status;
        $this->headers = $headers;
        $this->http11 = $http11;
    }

    /**
     * Reads a status line and headers, without the empty line that ends them.
     *
     * @throws \UnexpectedValueException if that is not what $head holds
     */
    public static function parseHead(string $head): self
    {
        $lines = explode("\r\n", $head);
        if (preg_match('~^HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?$~D', $lines[0], $m) !== 1) {
            throw new \UnexpectedValueException('the answer is not HTTP/1.1');
        }
        $headers = [];
        foreach (array_slice($lines, 1) as $line) {
            if (preg_match('~^([!#$%&\'*+.^_`|\~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*$~D', $line, $h) !== 1) {
                throw new \UnexpectedValueException('the answer has a malformed header');
            }
            $name = strtolower($h[1]);
            $headers[$name] = isset($headers[$name]) ? $headers[$name] . ', ' . $h[2] : $h[2];
        }
        return new self((int) $m[2], $headers, $m[1] === '1');
    }

    public function header(string $lowerCaseName): string
    {
        return $this->headers[$lowerCaseName] ?? '';
    }

    /**
     * How many bytes of body follow the head, RFC 9112 section 6.3. sessiond always says so in Content-Length; anything
     * else cannot be told from an answer that was cut off, and is refused.
     *
     * @throws \UnexpectedValueException if the length is missing, malformed or over MAX_BODY
     */
    public function bodyLength(): int
    {
        if ($this->status === 204 || $this->status === 304) {
            return 0;
        }
        $length = $this->header('content-length');
        if ($this->header('transfer-encoding') !== '' || preg_match('~^[0-9]{1,18}$~D', $length) !== 1) {
            throw new \UnexpectedValueException('the answer does not say how long it is');
        }
        if ((int) $length > self::MAX_BODY) {
            throw new \UnexpectedValueException("the answer's body of $length bytes is over the limit");
        }
        return (int) $length;
    }

    /** Whether the server keeps the connection open for the next request. */
    public function keepsConnection(): bool
    {
        return $this->http11 && stripos($this->header('connection'), 'close') === false;
    }
}
