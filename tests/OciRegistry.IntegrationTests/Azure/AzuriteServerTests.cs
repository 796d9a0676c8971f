using System.Net;
using System.Net.Sockets;
using System.Text;
using Azure.Storage.Blobs;
using Azure.Storage.Sas;
using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.IntegrationTests.Azure;

/// <summary>The stand-in lasts for as long as the tests that kill its clients need it.</summary>
public sealed class AzuriteServerTests
{
    [Fact]
    public async Task Writes_that_are_reset_before_they_are_read_take_no_room_from_those_that_follow()
    {
        await using var server = await AzuriteServer.StartAsync();
        var container = new BlobContainerClient(server.ConnectionString, AzuriteServer.NewContainer());
        await container.CreateAsync();
        var address = container.GetBlobClient("reset").GenerateSasUri(BlobSasPermissions.Write, DateTimeOffset.UtcNow.AddHours(1));
        var put = Encoding.ASCII.GetBytes(
            $"PUT {address.PathAndQuery} HTTP/1.1\r\nHost: {address.Authority}\r\nx-ms-version: 2021-12-02\r\n"
            + $"x-ms-blob-type: BlockBlob\r\nContent-Length: 1000000\r\n\r\n{new string('x', 1_000)}");
        for (var i = 0; i < 300; i++)
        {
            // It has to be over after it was accepted and before it is read, and when that is nobody can tell.
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            socket.LingerState = new LingerOption(true, 0);
            await socket.ConnectAsync(IPAddress.Loopback, server.Port);
            await socket.SendAsync(put);
            Thread.SpinWait(i * 100);
        }

        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var stored = await container.GetBlobClient("stored").UploadAsync(new BinaryData(new byte[1_000]), patience.Token);
        stored.GetRawResponse().Status.ShouldBe(201);
    }
}
