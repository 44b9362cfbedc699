<?php

declare(strict_types=1);

namespace Lvsession\Tests;

/**
 * A real sessiond for the tests: the one at LVSESSION_ENDPOINT and LVSESSION_UNIX, or one of the program that
 * LVSESSION_SESSIOND names, started on demand.
 */
final class Sessiond
{
    private static ?self $shared = null;

    /** Its address over TCP. */
    public string $http;

    /** Its address over a Unix socket. */
    public string $unix;

    /** Its address over TLS, '' if it has none. */
    public string $https = '';

    private ?Process $process;

    private function __construct(string $http, string $unix, ?Process $process)
    {
        $this->http = $http;
        $this->unix = $unix;
        $this->process = $process;
    }

    /** The sessiond that all tests share. */
    public static function shared(): self
    {
        if (self::$shared === null) {
            $http = (string) getenv('LVSESSION_ENDPOINT');
            $unix = (string) getenv('LVSESSION_UNIX');
            self::$shared = $http !== '' && $unix !== '' ? new self($http, $unix, null) : self::start();
        }
        return self::$shared;
    }

    /** One more, which wants the secret s3cret, and over TLS a certificate of the same CA. */
    public static function guarded(Certificates $certificates): self
    {
        $address = self::freeAddress();
        $guarded = self::start([
            '--secret', 'default=s3cret', '--http-tls', $address, '--tls-cert', $certificates->server,
            '--tls-key', $certificates->server, '--tls-client-ca', $certificates->ca,
        ]);
        $guarded->https = "https://$address";
        return $guarded;
    }

    /**
     * @param list<string> $arguments
     */
    private static function start(array $arguments = []): self
    {
        $program = (string) getenv('LVSESSION_SESSIOND');
        if ($program === '') {
            throw new \RuntimeException('name a sessiond: its path in LVSESSION_SESSIOND, or the addresses of a '
                . 'running one in LVSESSION_ENDPOINT and LVSESSION_UNIX');
        }
        $address = self::freeAddress();
        $socket = sys_get_temp_dir() . '/lvsession-' . bin2hex(random_bytes(6)) . '.sock';
        $process = new Process(array_merge([
            $program, '--http', $address, '--unix', $socket, '--store', 'memory', '--log-level', 'ERROR',
        ], $arguments));
        register_shutdown_function(static function () use ($process, $socket): void {
            $process->kill();
            if (file_exists($socket)) {
                unlink($socket);
            }
        });
        $until = hrtime(true) + 20000000000;
        while (@file_get_contents("http://$address/readyz") === false || !file_exists($socket)) {
            if (!$process->isRunning() || hrtime(true) > $until) {
                throw new \RuntimeException('sessiond does not get ready');
            }
            usleep(10000);
        }
        return new self("http://$address", "unix://$socket", $process);
    }

    /** An address on which nobody listens; on 127.0.0.1 a load test may have every port in use. */
    public static function freeAddress(): string
    {
        $server = stream_socket_server('tcp://127.0.78.1:0');
        $address = (string) stream_socket_get_name($server, false);
        fclose($server);
        return $address;
    }
}
