<?php

declare(strict_types=1);

namespace Lvsession;

/**
 * The sessionds of a site, in the order in which to try them: as configured, those that failed a moment ago last, and
 * those that only cost time not at all.
 *
 * A failure is remembered within this PHP process and, under PHP-FPM, until the end of the request: so a request that
 * met a dead sessiond meets it once. One that took until a time-out is told to the other processes too.
 *
 * @internal
 */
final class Endpoints
{
    /** For how long a sessiond that failed is tried last, in nanoseconds. */
    private const SHUN = 3000000000;

    /** @var array<string, int> by address, the time of hrtime() until which it is tried last */
    private static array $shunned = [];

    /** @var list<Endpoint> */
    private array $endpoints;

    private ?Breaker $breaker;

    /**
     * @param list<Endpoint> $endpoints
     */
    public function __construct(array $endpoints, ?Breaker $breaker)
    {
        $this->endpoints = $endpoints;
        $this->breaker = $breaker;
    }

    /**
     * @return list<Endpoint> none if all of them are known to let everybody wait
     */
    public function inOrder(): array
    {
        $good = [];
        $bad = [];
        foreach ($this->endpoints as $endpoint) {
            $state = $this->breaker === null ? Breaker::CLOSED : $this->breaker->state($endpoint);
            if ($state === Breaker::OPEN) {
                continue;
            }
            if ($state === Breaker::DOUBTED || $this->isShunned($endpoint)) {
                $bad[] = $endpoint;
            } else {
                $good[] = $endpoint;
            }
        }
        return array_merge($good, $bad);
    }

    public function failed(Endpoint $endpoint, bool $timedOut): void
    {
        self::$shunned[$endpoint->address()] = hrtime(true) + self::SHUN;
        if ($timedOut && $this->breaker !== null) {
            $this->breaker->failed($endpoint);
        }
    }

    public function worked(Endpoint $endpoint): void
    {
        if ($this->breaker !== null) {
            $this->breaker->worked($endpoint);
        }
    }

    private function isShunned(Endpoint $endpoint): bool
    {
        return self::$shunned !== [] && (self::$shunned[$endpoint->address()] ?? 0) > hrtime(true);
    }
}
