<?php

declare(strict_types=1);

namespace Lvsession\Exception;

/**
 * The session was changed since it was read, or its lease was lost to another request. Nothing was written.
 */
final class Conflict extends SessionException
{
}
