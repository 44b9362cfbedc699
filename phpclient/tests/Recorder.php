<?php

declare(strict_types=1);

namespace Lvsession\Tests;

use Lvsession\SessionHandler;

/**
 * A handler that records PHP's calls.
 */
final class Recorder extends SessionHandler
{
    /** @var list<string> PHP's calls so far, "=false" behind those that said no */
    public static array $calls = [];

    /**
     * @param mixed $result
     *
     * @return mixed
     */
    private static function record(string $call, $result)
    {
        self::$calls[] = is_bool($result) && !$result ? "$call=false" : $call;
        return $result;
    }

    public function open($path, $name): bool
    {
        return self::record('open', parent::open($path, $name));
    }

    public function close(): bool
    {
        return self::record('close', parent::close());
    }

    public function create_sid(): string // phpcs:ignore PSR1.Methods.CamelCapsMethodName -- PHP names it
    {
        return self::record('create_sid', parent::create_sid());
    }

    public function validateId($id): bool
    {
        return self::record('validateId', parent::validateId($id));
    }

    #[\ReturnTypeWillChange]
    public function read($id)
    {
        return self::record('read', parent::read($id));
    }

    public function write($id, $data): bool
    {
        return self::record('write', parent::write($id, $data));
    }

    public function updateTimestamp($id, $data): bool
    {
        return self::record('updateTimestamp', parent::updateTimestamp($id, $data));
    }

    public function destroy($id): bool
    {
        return self::record('destroy', parent::destroy($id));
    }
}
