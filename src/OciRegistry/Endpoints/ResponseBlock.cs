using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;

namespace OciRegistry.Endpoints;

/// <summary>The memory that a response's body is written to, so much of it as is sent at once.</summary>
internal static class ResponseBlock
{
    private const int Size = 64 * 1024;

    /// <summary>The next memory of the response: 64 KiB, or less where less is left, or where the connection gives smaller blocks.</summary>
    /// <remarks>
    /// A connection that has blocks of this size has smaller ones when most of them are in use. Whoever asks it for a large one gets it
    /// all the same, and clients decide how many ask: over HTTP/2 one connection has 100 answers that may wait to be read.
    /// </remarks>
    /// <param name="context">The request.</param>
    /// <param name="left">Bytes of the body that are still to come.</param>
    /// <param name="isCostly">Whether each piece is a call to the storage: then it is not smaller than it must be.</param>
    public static Memory<byte> Next(HttpContext context, long left, bool isCostly = false)
    {
        var isChosenByConnection = !isCostly && context.Features.Get<IMemoryPoolFeature>()?.MemoryPool.MaxBufferSize >= Size;
        var memory = context.Response.BodyWriter.GetMemory(isChosenByConnection ? 0 : (int)Math.Min(Size, left));
        return memory[..(int)Math.Min(Math.Min(memory.Length, Size), left)];
    }

    /// <summary>To be asked after each part of a body: whoever just stopped would have written too little, which is told as a failure.</summary>
    /// <exception cref="ConnectionAbortedException">The client takes no more: it has gone, or has cancelled the request.</exception>
    public static void ThrowIfGone(FlushResult flushed)
    {
        if (flushed.IsCompleted)
        {
            throw new ConnectionAbortedException("The client takes no more of the answer.");
        }
    }
}
