<?php

declare(strict_types=1);

namespace Lvsession;

/**
 * Where a sessiond listens: http://HOST:PORT, https://HOST:PORT or unix:///PATH. Immutable.
 */
final class Endpoint
{
    /** sessiond's own default port. */
    private const DEFAULT_PORT = 8090;

    private string $address;
    private string $host;
    private ?Tls $tls;

    private function __construct(string $address, string $host, ?Tls $tls = null)
    {
        $this->address = $address;
        $this->host = $host;
        $this->tls = $tls;
    }

    /**
     * Reads http://HOST, http://HOST:PORT, http://[IPV6]:PORT, the same with https, or unix:///ABSOLUTE/PATH.
     *
     * @throws \InvalidArgumentException naming the URL and what is wrong with it
     */
    public static function parse(string $url, ?Tls $tls = null): self
    {
        if (preg_match('~^unix://(/[^\x00-\x20\x7f]+)$~D', $url, $m) === 1) {
            return new self('unix://' . $m[1], 'localhost');
        }
        if (preg_match('~^(https?)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?/?$~D', $url, $m) !== 1) {
            throw new \InvalidArgumentException(
                "lvsession: option \"endpoints\": \"$url\" is neither http://HOST:PORT, https://HOST:PORT nor "
                . 'unix:///ABSOLUTE/PATH'
            );
        }
        $port = (int) ($m[3] ?? self::DEFAULT_PORT);
        if ($port < 1 || $port > 65535) {
            throw new \InvalidArgumentException(
                "lvsession: option \"endpoints\": \"$url\" has no port between 1 and 65535"
            );
        }
        if ($m[1] === 'http') {
            return new self("tcp://{$m[2]}:$port", "{$m[2]}:$port");
        }
        if (!extension_loaded('openssl')) {
            throw new \InvalidArgumentException("lvsession: option \"endpoints\": \"$url\" needs PHP's openssl");
        }
        $tls = $tls ?? Tls::fromOptions(['ca_file' => '', 'client_cert' => '', 'client_key' => '']);
        // PHP ignores what follows the port, and keeps a connection for each address as it is written.
        return new self("tls://{$m[2]}:$port/{$tls->fingerprint()}", "{$m[2]}:$port", $tls);
    }

    /** What stream_socket_client() takes. */
    public function address(): string
    {
        return $this->address;
    }

    /**
     * @return array<string, array<string, mixed>> what stream_context_create() takes
     */
    public function context(): array
    {
        $context = ['socket' => ['tcp_nodelay' => true]];
        if ($this->tls !== null) {
            $name = trim((string) preg_replace('~:[0-9]+$~D', '', $this->host), '[]');
            $context['ssl'] = $this->tls->context() + ['peer_name' => $name];
        }
        return $context;
    }

    /** What the Host header says. */
    public function host(): string
    {
        return $this->host;
    }
}
