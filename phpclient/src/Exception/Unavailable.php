<?php

declare(strict_types=1);

namespace Lvsession\Exception;

/**
 * No sessiond could answer. Whether a write took effect is unknown.
 */
final class Unavailable extends SessionException
{
}
