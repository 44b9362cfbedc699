<?php

declare(strict_types=1);

namespace Lvsession\Tests;

use Lvsession\Client;
use Lvsession\Connection;
use Lvsession\Endpoint;
use Lvsession\Exception\Conflict;
use Lvsession\Exception\Destroyed;
use Lvsession\Exception\Invalid;
use Lvsession\Exception\Locked;
use Lvsession\Exception\NotFound;
use Lvsession\Exception\TooLarge;
use Lvsession\Exception\Unauthorized;
use Lvsession\Exception\Unavailable;
use Lvsession\Options;
use Lvsession\SessionHandler;
use PHPUnit\Framework\TestCase;

/**
 * The client against a real sessiond, straight and through a proxy that breaks things.
 */
final class ClientTest extends TestCase
{
    private const IDLE = 60000;

    /**
     * @param array<string, mixed> $options
     */
    private static function client(string $endpoints, array $options = []): Client
    {
        return new Client(new Options(['endpoints' => $endpoints] + $options));
    }

    private static function id(): string
    {
        return (new SessionHandler())->create_sid();
    }

    /**
     * @return array<string, array<int, string>>
     */
    public static function transports(): array
    {
        return ['TCP' => ['http'], 'Unix socket' => ['unix']];
    }

    /**
     * @dataProvider transports
     */
    public function testLifeOfASession(string $transport): void
    {
        $client = self::client(Sessiond::shared()->$transport);
        $id = self::id();
        self::assertNull($client->read($id));
        self::assertNull($client->open($id));
        self::assertSame(1, $client->write($id, 'one', Client::NO_VERSION, '', self::IDLE));
        $session = $client->open($id);
        self::assertNotNull($session);
        self::assertSame('one', $session->payload);
        self::assertSame(1, $session->version);
        self::assertSame(2, $client->write($id, 'two', 1, $session->lease, self::IDLE));
        $client->touch($id, false, self::IDLE);
        $client->close($id, $session->lease);
        $session = $client->read($id);
        self::assertNotNull($session);
        self::assertSame(['two', 2], [$session->payload, $session->version]);
        $client->destroy($id);
        $client->destroy($id);
        self::assertNull($client->read($id));
        self::assertGreaterThanOrEqual(0, $client->gc());
    }

    /**
     * @dataProvider transports
     */
    public function testPayloadsOfAllSizesComeBackAsTheyWere(string $transport): void
    {
        $client = self::client(Sessiond::shared()->$transport);
        $id = self::id();
        foreach ([0, 1, 8191, 8192, 65535, 65536, 65537, 300000, 1 << 20] as $size) {
            $payload = $size === 0 ? '' : random_bytes($size);
            $client->write($id, $payload, Client::ANY_VERSION, '', self::IDLE);
            $session = $client->read($id);
            self::assertNotNull($session);
            self::assertTrue($payload === $session->payload, "$size bytes");
        }
    }

    public function testErrors(): void
    {
        $client = self::client(Sessiond::shared()->http, ['lock_wait_ms' => 0]);
        $id = self::id();
        self::assertThrows(NotFound::class, fn() => $client->touch($id, false, self::IDLE));
        self::assertThrows(NotFound::class, fn() => $client->write($id, 'x', 5, '', self::IDLE));
        $client->touch($id, true, self::IDLE);
        self::assertThrows(Conflict::class, fn() => $client->write($id, 'x', Client::NO_VERSION, '', self::IDLE));
        self::assertThrows(Conflict::class, fn() => $client->write($id, 'x', 7, '', self::IDLE));
        self::assertThrows(Conflict::class, fn() => $client->write($id, 'x', 1, '12345', self::IDLE));
        self::assertThrows(
            TooLarge::class,
            fn() => $client->write($id, str_repeat('x', (1 << 20) + 1), Client::ANY_VERSION, '', self::IDLE)
        );
        self::assertThrows(
            TooLarge::class,
            fn() => $client->write($id, str_repeat('x', (2 << 20) + 1), Client::ANY_VERSION, '', self::IDLE)
        );
        $session = $client->open($id);
        self::assertNotNull($session);
        self::assertThrows(Locked::class, fn() => $client->open($id));
        $client->close($id, $session->lease);
        $client->destroy($id);
        self::assertThrows(Destroyed::class, fn() => $client->write($id, 'x', Client::ANY_VERSION, '', self::IDLE));
        foreach (['', 'short', str_repeat('a', 257), str_repeat('a', 21) . '/', str_repeat('a', 30) . "\r\n"] as $bad) {
            self::assertThrows(Invalid::class, fn() => $client->read($bad));
        }
    }

    public function testMessagesDoNotTellIdOrPayload(): void
    {
        $client = self::client(Sessiond::shared()->http);
        $id = self::id();
        $client->write($id, 'secret', Client::NO_VERSION, '', self::IDLE);
        $e = self::assertThrows(
            Conflict::class,
            fn() => $client->write($id, 'secret', Client::NO_VERSION, '', self::IDLE)
        );
        self::assertStringNotContainsString($id, $e->getMessage());
        self::assertStringNotContainsString('secret', $e->getMessage());
        self::assertStringContainsString(substr(hash('sha256', "default\0$id"), 0, 12), $e->getMessage());
    }

    /**
     * What broke, and whether a write gets through all the same: with the sessiond alone, and with a second one.
     *
     * @return array<string, array{0: string, 1: bool}>
     */
    public static function breakages(): array
    {
        return [
            'kept connection closed before the request' => ['pass,refuse', true],
            'kept connection closed after the request' => ['pass,lose', true],
            'answer cut off' => ['pass,half', false],
            'answer cut off and silence' => ['pass,stall', false],
            'answer without end' => ['pass,flood', false],
            'answer with a byte too many' => ['pass,excess', false],
            'draining' => ['pass,busy', false],
            'not a sessiond' => ['pass,stranger', false],
        ];
    }

    /**
     * @dataProvider breakages
     */
    public function testWriteThroughABrokenConnection(string $plan, bool $alone): void
    {
        foreach ([Client::NO_VERSION, 1, Client::ANY_VERSION] as $condition) {
            foreach ([false, true] as $second) {
                $this->writeThrough($plan, $condition, $second, $alone || $second);
            }
        }
    }

    private function writeThrough(string $plan, int $condition, bool $second, bool $works): void
    {
        $what = "$plan, condition $condition, " . ($second ? 'a second sessiond' : 'alone');
        $direct = self::client(Sessiond::shared()->http);
        $proxy = new Proxy($plan);
        $endpoints = $proxy->http . ($second ? ',' . Sessiond::shared()->http : '');
        $client = self::client($endpoints, ['timeout_ms' => strpos($plan, 'stall') === false ? 5000 : 700]);
        $id = self::id();
        if ($condition === 1) {
            $direct->write($id, 'old', Client::NO_VERSION, '', self::IDLE);
        }
        $client->read($id); // makes the kept connection
        if (!$works) {
            self::assertThrows(Unavailable::class, fn() => $client->write($id, 'new', $condition, '', self::IDLE));
        } else {
            $version = $client->write($id, 'new', $condition, '', self::IDLE);
            $session = $direct->read($id);
            self::assertNotNull($session, $what);
            self::assertSame(['new', $version], [$session->payload, $session->version], $what);
        }
        // The broken connection is not used again: the next answer is the right one.
        $other = self::id();
        $direct->write($other, 'other', Client::NO_VERSION, '', self::IDLE);
        $session = $client->read($other);
        self::assertNotNull($session, $what);
        self::assertSame('other', $session->payload, $what);
    }

    public function testLostAnswerDoesNotHideAConflictWithAnother(): void
    {
        $direct = self::client(Sessiond::shared()->http);
        $id = self::id();
        $direct->write($id, 'old', Client::NO_VERSION, '', self::IDLE);
        $client = self::client((new Proxy('pass,refuse'))->http);
        $client->read($id);
        $direct->write($id, 'of another', 1, '', self::IDLE);
        self::assertThrows(Conflict::class, fn() => $client->write($id, 'mine', 1, '', self::IDLE));
    }

    public function testStrangersNotFoundIsNotAMissingSession(): void
    {
        $client = self::client((new Proxy('stranger'))->http);
        self::assertThrows(Unavailable::class, fn() => $client->read(self::id()));
    }

    public function testConnectionIsKept(): void
    {
        // The proxy serves one connection at a time, and the second request of a plan is on the first connection only
        // if that was kept: "refuse" on a fresh connection would be an error.
        $client = self::client((new Proxy('pass,refuse'))->http);
        $client->read(self::id());
        self::assertNull($client->read(self::id()));
        $client = self::client((new Proxy('refuse'))->http);
        self::assertThrows(Unavailable::class, fn() => $client->read(self::id()));
    }

    public function testLastOperationReleasesTheLease(): void
    {
        $client = self::client(Sessiond::shared()->http, ['lock_wait_ms' => 0]);
        $id = self::id();
        $client->write($id, 'a', Client::NO_VERSION, '', self::IDLE);
        $open = static function () use ($client, $id): string {
            $session = $client->open($id); // throws Locked if the lease before is still there
            self::assertNotNull($session);
            return $session->lease;
        };
        $client->write($id, 'b', 1, $open(), self::IDLE, true);
        $client->touch($id, false, self::IDLE, $open());
        $lease = $open();
        self::assertThrows(Conflict::class, fn() => $client->write($id, 'c', 9, $lease, self::IDLE, true));
        self::assertThrows(Locked::class, fn() => $client->open($id));
        $client->destroy($id, $lease);
    }

    public function testLeaseIsReleasedThoughTheAnswerToThatWasLost(): void
    {
        $client = self::client((new Proxy('pass,pass,lose'))->http, ['lock_wait_ms' => 0]);
        $id = self::id();
        $client->write($id, 'a', Client::NO_VERSION, '', self::IDLE);
        $session = $client->open($id);
        self::assertNotNull($session);
        self::assertSame(2, $client->write($id, 'b', 1, $session->lease, self::IDLE, true));
        $session = self::client(Sessiond::shared()->http, ['lock_wait_ms' => 0])->open($id);
        self::assertNotNull($session);
        self::assertSame('b', $session->payload);
    }

    public function testSecretAndMutualTls(): void
    {
        $certificates = new Certificates();
        $sessiond = Sessiond::guarded($certificates);
        $mutual = ['ca_file' => $certificates->ca, 'client_cert' => $certificates->client];
        $id = self::id();
        foreach ([[$sessiond->http, []], [$sessiond->unix, []], [$sessiond->https, $mutual]] as [$endpoint, $options]) {
            foreach ([[], ['secret' => 'another']] as $wrong) {
                $client = self::client($endpoint, $options + $wrong);
                $e = self::assertThrows(Unauthorized::class, fn() => $client->read($id));
                self::assertStringNotContainsString('another', $e->getMessage());
            }
            $client = self::client($endpoint, $options + ['secret' => 's3cret']);
            $client->write($id, 'kept', Client::ANY_VERSION, '', self::IDLE);
            $session = $client->read($id);
            self::assertNotNull($session);
            self::assertSame('kept', $session->payload);
        }
    }

    public function testTls(): void
    {
        $ours = new Certificates();
        $others = new Certificates();
        $id = self::id();
        $ca = ['ca_file' => $ours->ca];
        $mutual = $ca + ['client_cert' => $ours->client];
        $client = self::client((new Proxy('pass,pass,refuse', $ours->server))->http, $ca);
        $client->write($id, 'over TLS', Client::NO_VERSION, '', self::IDLE);
        for ($i = 0; $i < 3; $i++) {
            $session = $client->read($id);
            self::assertNotNull($session);
            self::assertSame('over TLS', $session->payload);
        }
        self::assertNull(self::client((new Proxy('', $ours->server, $ours->ca))->http, $mutual)->read(self::id()));
        foreach (
            [
                'a CA of somebody else' => [[$ours->server], ['ca_file' => $others->ca]],
                "the system's CAs" => [[$ours->server], []],
                'a certificate for another name' => [[$ours->client], $ca],
                'no certificate of the client' => [[$ours->server, $ours->ca], $ca],
                "somebody else's certificate" => [[$ours->server, $others->ca], $mutual],
            ] as $case => [$server, $options]
        ) {
            $client = self::client((new Proxy('', ...$server))->http, $options);
            $e = self::assertThrows(Unavailable::class, fn() => $client->read($id));
            self::assertStringNotContainsString($id, $e->getMessage(), $case);
        }
    }

    public function testUnreadAnswerIsNeverReadLater(): void
    {
        $client = self::client(Sessiond::shared()->http);
        $alice = self::id();
        $bob = self::id();
        $client->write($alice, 'alice', Client::NO_VERSION, '', self::IDLE);
        $client->write($bob, 'bob', Client::NO_VERSION, '', self::IDLE);
        $address = Endpoint::parse(Sessiond::shared()->http)->address();
        // An exchange begins, and PHP stops the script.
        Connection::open(Endpoint::parse(Sessiond::shared()->http), 1000);
        $kept = stream_socket_client($address, $e, $s, 1, STREAM_CLIENT_CONNECT | STREAM_CLIENT_PERSISTENT);
        fwrite($kept, "GET /v1/default/sessions/$alice HTTP/1.1\r\nHost: localhost\r\n\r\n");
        $session = $client->read($bob);
        self::assertNotNull($session);
        self::assertSame('bob', $session->payload);
    }

    public function testSilentServerCostsNoMoreThanTheTimeout(): void
    {
        $server = stream_socket_server('tcp://127.0.78.1:0'); // accepts nothing, so nobody answers
        $client = self::client('http://' . stream_socket_get_name($server, false), ['timeout_ms' => 200]);
        $began = hrtime(true);
        self::assertThrows(Unavailable::class, fn() => $client->read(self::id()));
        $ms = intdiv(hrtime(true) - $began, 1000000);
        self::assertGreaterThanOrEqual(190, $ms);
        self::assertLessThan(20000, $ms);
    }

    public function testDeadSessiondIsTriedOnce(): void
    {
        $server = stream_socket_server('tcp://127.0.78.1:0');
        $silent = 'http://' . stream_socket_get_name($server, false);
        $client = self::client($silent . ',' . Sessiond::shared()->http, ['timeout_ms' => 400]);
        for ($i = 0; $i < 5; $i++) {
            self::assertNull($client->read(self::id()));
        }
        for ($tries = 0; @stream_socket_accept($server, 0) !== false; $tries++) {
            continue;
        }
        self::assertSame(1, $tries, 'the silent one was asked each time');
    }

    /**
     * @param class-string<\Throwable> $class
     */
    private static function assertThrows(string $class, callable $action): \Throwable
    {
        try {
            $action();
        } catch (\Throwable $e) {
            self::assertInstanceOf($class, $e, $e->getMessage());
            return $e;
        }
        self::fail("nothing thrown where $class was due");
    }
}
