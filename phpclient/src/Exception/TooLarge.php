<?php

declare(strict_types=1);

namespace Lvsession\Exception;

/**
 * The payload is over the limit.
 */
final class TooLarge extends SessionException
{
}
