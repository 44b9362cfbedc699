<?php

declare(strict_types=1);

namespace Lvsession;

/**
 * Where a sessiond listens: http://HOST:PORT or unix:///PATH. Immutable.
 */
final class Endpoint
{
    /** sessiond's own default port. */
    private const DEFAULT_PORT = 8090;

    private string $address;
    private string $host;

    private function __construct(string $address, string $host)
    {
        $this->address = $address;
        $this->host = $host;
    }

    /**
     * Reads http://HOST, http://HOST:PORT, http://[IPV6]:PORT or unix:///ABSOLUTE/PATH.
     *
     * @throws \InvalidArgumentException naming the URL and what is wrong with it
     */
    public static function parse(string $url): self
    {
        if (preg_match('~^unix://(/[^\x00-\x20\x7f]+)$~D', $url, $m) === 1) {
            return new self('unix://' . $m[1], 'localhost');
        }
        if (preg_match('~^http://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?/?$~D', $url, $m) !== 1) {
            throw new \InvalidArgumentException(
                "lvsession: endpoint \"$url\" is neither http://HOST:PORT nor unix:///ABSOLUTE/PATH"
            );
        }
        $port = (int) ($m[2] ?? self::DEFAULT_PORT);
        if ($port < 1 || $port > 65535) {
            throw new \InvalidArgumentException("lvsession: endpoint \"$url\" has no port between 1 and 65535");
        }
        return new self("tcp://{$m[1]}:$port", "{$m[1]}:$port");
    }

    /** What stream_socket_client() takes. */
    public function address(): string
    {
        return $this->address;
    }

    /** What the Host header says. */
    public function host(): string
    {
        return $this->host;
    }
}
