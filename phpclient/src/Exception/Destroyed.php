<?php

declare(strict_types=1);

namespace Lvsession\Exception;

/**
 * The session was destroyed a short while ago, and a write would resurrect it.
 */
final class Destroyed extends SessionException
{
}
