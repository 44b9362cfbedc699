<?php

declare(strict_types=1);

namespace Lvsession\Exception;

/**
 * sessiond refuses the request whatever it holds: a malformed id or namespace, a time-out out of range.
 */
final class Invalid extends SessionException
{
}
