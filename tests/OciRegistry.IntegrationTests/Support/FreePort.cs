using System.Net;
using System.Net.Sockets;

namespace OciRegistry.IntegrationTests.Support;

internal static class FreePort
{
    /// <summary>
    /// A free loopback port below those that the system gives to outgoing connections, so that no client of a test
    /// running beside takes it before the server does.
    /// </summary>
    public static int Next()
    {
        while (true)
        {
            var port = Random.Shared.Next(20_000, 32_000);
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
                return port;
            }
            catch (SocketException)
            {
                // Taken: try another.
            }
        }
    }
}
