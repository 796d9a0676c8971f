using Microsoft.AspNetCore.Http;

namespace OciRegistry.Endpoints;

/// <summary>
/// The feature of connections to an address that serves operations alone, and the registry not. The server sets it on the connection:
/// no header that a client sends can.
/// </summary>
internal sealed class OperationsConnection
{
    private OperationsConnection()
    {
    }

    public static OperationsConnection Mark { get; } = new();

    public static bool Is(HttpContext context) => context.Features.Get<OperationsConnection>() is not null;
}
