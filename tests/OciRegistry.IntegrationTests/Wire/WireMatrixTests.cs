using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Wire;

/// <summary>R5.1 with the built server, over files and over Azure.</summary>
public sealed class WireMatrixTests
{
    public static MatrixTheoryData<Shared, WireProtocol> EveryStorageAndProtocol =>
        new([Shared.Folder, Shared.Azure], Enum.GetValues<WireProtocol>());

    [Theory]
    [MemberData(nameof(EveryStorageAndProtocol))]
    public async Task Every_byte_is_right_and_secret_over_TLS(Shared shared, WireProtocol protocol)
    {
        await using var server = await WireServer.StartAsync(
            shared.IsFolder() ? new SharedFolder() : await SharedContainer.CreateAsync());
        foreach (var parallel in (int[])[1, 32])
        {
            await using var matrix = new WireMatrix(server.Url(protocol), protocol);
            await matrix.RunAsync(parallel, Counts.Of(1, 40));
        }
    }
}
