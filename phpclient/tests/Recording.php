<?php

declare(strict_types=1);

namespace Lvsession\Tests;

/**
 * Makes a session handler record what PHP calls.
 */
trait Recording
{
    public function open($path, $name): bool
    {
        return Calls::record('open', parent::open($path, $name));
    }

    public function close(): bool
    {
        return Calls::record('close', parent::close());
    }

    public function create_sid(): string // phpcs:ignore PSR1.Methods.CamelCapsMethodName -- PHP names it
    {
        return Calls::record('create_sid', parent::create_sid());
    }

    public function validateId($id): bool
    {
        return Calls::record('validateId', parent::validateId($id));
    }

    #[\ReturnTypeWillChange]
    public function read($id)
    {
        $data = parent::read($id);
        return Calls::record('read(' . $data . ')', $data);
    }

    public function write($id, $data): bool
    {
        return Calls::record("write($data)", parent::write($id, $data));
    }

    public function updateTimestamp($id, $data): bool
    {
        return Calls::record("updateTimestamp($data)", parent::updateTimestamp($id, $data));
    }

    public function destroy($id): bool
    {
        return Calls::record('destroy', parent::destroy($id));
    }

    #[\ReturnTypeWillChange]
    public function gc($maxLifetime)
    {
        $removed = parent::gc($maxLifetime);
        return Calls::record('gc(' . gettype($removed) . ')', $removed);
    }
}
