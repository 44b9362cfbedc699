<?php

declare(strict_types=1);

namespace Lvsession\Exception;

/**
 * There is no such session: never written, expired, or collected.
 */
final class NotFound extends SessionException
{
}
