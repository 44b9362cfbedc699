<?php

declare(strict_types=1);

namespace Lvsession\Exception;

/**
 * Why the session store did not do what was asked. Each subclass stands for one of sessiond's error titles, see
 * docs/http-api.md. A message names a session by the first 48 bits of its SHA-256, as sessiond's log does, never by its
 * id, and holds no payload.
 */
abstract class SessionException extends \RuntimeException
{
}
