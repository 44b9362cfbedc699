<?php

declare(strict_types=1);

namespace Lvsession\Tests;

/**
 * PHP's calls of a session handler that uses Recording, in their order.
 */
final class Calls
{
    /** @var list<string> "=false" stands behind those that said no, what they took or gave in brackets */
    public static array $made = [];

    /**
     * @param mixed $result
     *
     * @return mixed $result
     */
    public static function record(string $call, $result)
    {
        self::$made[] = $result === false ? "$call=false" : $call;
        return $result;
    }
}
