<?php

declare(strict_types=1);

namespace Lvsession;

/**
 * The sessionds of a site, in the order in which to try them: as configured, those that failed a moment ago last.
 *
 * What failed is remembered within this PHP process and, under PHP-FPM, until the end of the request: so a request that
 * met a dead sessiond meets it once.
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

    /**
     * @param list<Endpoint> $endpoints
     */
    public function __construct(array $endpoints)
    {
        $this->endpoints = $endpoints;
    }

    /**
     * @return list<Endpoint> all of them: a request fails only when none answers
     */
    public function inOrder(): array
    {
        if (self::$shunned === []) {
            return $this->endpoints;
        }
        $now = hrtime(true);
        $good = [];
        $bad = [];
        foreach ($this->endpoints as $endpoint) {
            if ((self::$shunned[$endpoint->address()] ?? 0) > $now) {
                $bad[] = $endpoint;
            } else {
                $good[] = $endpoint;
            }
        }
        return array_merge($good, $bad);
    }

    public function failed(Endpoint $endpoint): void
    {
        self::$shunned[$endpoint->address()] = hrtime(true) + self::SHUN;
    }
}
